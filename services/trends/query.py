"""What of the past is looked at: which databases, which type, which days, in steps of what length."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args

from services.catalog.model import BackupType
from services.errors import InputError

Bucket = Literal["day", "week", "month"]
Span = Literal["30 days", "90 days", "12 months"]
SPANS: dict[Span, int] = {"30 days": 30, "90 days": 90, "12 months": 365}
"""Spans to choose from, in days that end today."""
DEFAULT_SPAN: Span = "90 days"
LONGEST = 3660
"""Days that can be looked at at once: ten years."""
_BY_DAY, _BY_WEEK = 100, 800
"""Up to so many days a bucket is a UTC day, then an ISO week; a calendar month beyond."""


@dataclass(frozen=True)
class TrendsQuery:
    """What to look at. Days are UTC days, both ends included."""

    first: date
    last: date
    databases: tuple[str, ...]
    """Names; never empty unless no database is configured."""
    type: BackupType | None = None
    """Only backups (and their runs) of this type; None: all."""
    everything: bool = False
    """Whether the names are all there are: then what is stored counts whole, also of databases that are no more."""

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def bucket(self) -> Bucket:
        """The step in which backups are put together: some hundred points at most, whatever the range."""
        return "day" if self.days <= _BY_DAY else "week" if self.days <= _BY_WEEK else "month"

    @property
    def since(self) -> datetime:
        """The first instant of the range."""
        return midnight(self.first)

    @property
    def until(self) -> datetime:
        """The first instant after the range."""
        return midnight(self.last + timedelta(days=1))


def midnight(day: date) -> datetime:
    """Return the first instant of a UTC day."""
    return datetime.combine(day, time(), UTC)


def choose_days(
    now: datetime, *, span: str | None = None, first: date | None = None, last: date | None = None
) -> tuple[date, date]:
    """Return the first and last day of a range: of a span that ends today, or as given.

    Without a first day the range begins a span (DEFAULT_SPAN) before its last one; without a last day it ends today.
    Raise InputError, with what is allowed, for an end before its start, a start in the future, and what is too long.
    """
    today = now.astimezone(UTC).date()
    if span is not None and span not in SPANS:
        raise InputError(f"{span!r} is no range.", hint=f"Choose {', '.join(get_args(Span))}, or give dates.")
    if first is not None and first > today:
        raise InputError(f"The range begins on {first}, which is in the future.", hint=f"Begin on {today} or earlier.")
    end = min(last, today) if last is not None else today
    length = SPANS[span] if span in SPANS else SPANS[DEFAULT_SPAN]
    begin = first if first is not None else end - timedelta(days=length - 1)
    if last is not None and last < begin:
        raise InputError(
            f"The range ends on {last}, before it begins on {begin}.",
            hint=f"Let it end between {begin} and {today}, or begin on {last} or earlier.",
        )
    if (end - begin).days >= LONGEST:
        raise InputError(
            f"The range from {begin} to {end} is longer than ten years.",
            hint=f"Begin on {end - timedelta(days=LONGEST - 1)} or later.",
        )
    return begin, end
