"""A clock that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class TestClock:
    """Stands still until it is moved."""

    __test__ = False

    def __init__(self, now: datetime = datetime(2026, 11, 22, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **lengths: float) -> datetime:
        self.now += timedelta(**lengths)
        return self.now
