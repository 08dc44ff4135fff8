"""Whether a text is an age key. Nothing here ever says the text itself."""

from __future__ import annotations

import pyrage


def public_key_of(secret: str) -> str | None:
    """Given an age secret key, return its public key; None when it is no secret key."""
    try:
        return str(pyrage.x25519.Identity.from_str(secret.strip()).to_public())
    except pyrage.IdentityError:
        return None


def is_public_key(text: str) -> bool:
    """Say whether the text is an age public key."""
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True
