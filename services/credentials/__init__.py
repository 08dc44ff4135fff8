"""Separate credentials: each can do what it needs, and cannot do what it must not. See docs/credentials.md."""
