"""Retention: what is kept, why, until when, and how the rest is deleted. The rule is in docs/retention.md."""
