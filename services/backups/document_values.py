"""Values of a document that anybody may have written, checked for kind and size before the catalogue sees them.

The limits are those of the catalogue's columns (``services/catalog/schema.py``); SQLite would not keep them, and
PostgreSQL would refuse the row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.clock import parse_instant

MAX_NUMBER = 2**63 - 1
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class BadValue(ValueError):
    """A member of the document is of another kind or size than it may be; says which, and never its value."""


def text(part: Mapping[str, Any], name: str, most: int, *, empty: bool = True) -> str:
    """Return a text of at most ``most`` characters that every database can hold. Raise BadValue, KeyError."""
    value = part[name]
    if not isinstance(value, str):
        raise BadValue(f"{name} is not a text")
    if len(value) > most or not (value or empty):
        raise BadValue(f"{name} has {len(value):,} characters; {'0' if empty else '1'} to {most:,} are allowed")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadValue(f"{name} holds a character that no database takes")
    return value


def texts(part: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of texts. Raise BadValue, KeyError."""
    values = part[name]
    if not isinstance(values, list):
        raise BadValue(f"{name} is not a list")
    return tuple(text({name: value}, name, 1000) for value in values)


def number(part: Mapping[str, Any], name: str, *, most: int = MAX_NUMBER) -> int:
    """Return a whole number from 0 to ``most``. Raise BadValue, KeyError."""
    value = part[name]
    if type(value) is not int:
        raise BadValue(f"{name} is not a whole number")
    if not 0 <= value <= most:
        raise BadValue(f"{name} is out of range")
    return value


def yes_or_no(part: Mapping[str, Any], name: str) -> bool:
    """Return a truth value. Raise BadValue, KeyError."""
    value = part[name]
    if not isinstance(value, bool):
        raise BadValue(f"{name} is neither true nor false")
    return value


def digest(part: Mapping[str, Any], name: str) -> str:
    """Return a sha256 in hexadecimal. Raise BadValue, KeyError."""
    value = text(part, name, 64)
    if not _DIGEST.match(value):
        raise BadValue(f"{name} is not a sha256")
    return value


def instant(part: Mapping[str, Any], name: str) -> datetime:
    """Return an aware instant. Raise BadValue, KeyError."""
    try:
        return parse_instant(text(part, name, 40))
    except (ValueError, OverflowError) as error:
        raise BadValue(f"{name} is not a time with a zone") from error
