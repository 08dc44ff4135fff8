"""Time: aware, UTC, and from one place, so that a test can set it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""A function that returns the present instant, aware and in UTC."""


def utc_now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


def isoformat(at: datetime | None) -> str | None:
    """Given an aware instant, return it as ISO 8601 in UTC with ``Z``, or None for None."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """Given ISO 8601 text with a zone, return the instant in UTC. Raise ValueError without a zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write it as 2026-11-22T02:00:00Z")
    return at.astimezone(UTC)
