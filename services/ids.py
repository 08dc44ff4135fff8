"""Identifiers: sortable by time, safe in file names, object keys and database names."""

from __future__ import annotations

import secrets
from datetime import datetime

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case


def new_id(at: datetime) -> str:
    """Given an instant, return a 20-character identifier: 10 of milliseconds, 10 of chance (50 bits). After ULID."""
    milliseconds = int(at.timestamp() * 1000)
    return _encode(milliseconds, 10) + _encode(secrets.randbits(50), 10)


def _encode(number: int, length: int) -> str:
    out = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        out.append(_ALPHABET[digit])
    return "".join(reversed(out))
