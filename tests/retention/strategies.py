"""Inventories for hypothesis: many a day, years apart, on the edges of periods, of every kind and in every state.

Few draws make a backup, so that a test sees hundreds of inventories.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from services.retention.planner import Candidate
from services.retention.policy import RetentionPolicy

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

_MOMENT = timedelta(microseconds=1)
_EDGES = [
    edge + around
    for edge in (timedelta(0), timedelta(days=7), timedelta(days=30), timedelta(hours=12))
    for around in (-_MOMENT, timedelta(0), _MOMENT)
]
_ZONES = [UTC, UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-11))]

_AGES = st.one_of(
    st.sampled_from(_EDGES),
    st.integers(-30, 60).map(lambda hours: timedelta(hours=hours)),
    st.integers(-30 * 24, 6 * 366 * 24).map(lambda hours: timedelta(hours=hours)),
    st.integers(-40, 2200).map(lambda days: timedelta(days=days, hours=12)),  # midnights
)

_GOOD: list[dict[str, Any]] = [
    {}, {}, {}, {"verification_passed": True}, {"verification_passed": True}, {"type": "on-demand"},
    {"type": "emergency"}, {"proven_at": NOW, "verification_passed": True}, {"proven_at": NOW, "type": "on-demand"},
    {"pinned": True},
]  # fmt: skip
_LOGICAL: list[dict[str, Any]] = [
    {"state": "failed"}, {"state": "lost", "type": "emergency"}, {"verification_passed": False},
    {"verification_passed": False, "type": "on-demand"}, {"verification_passed": False, "partial": True},
    {"verification_passed": False, "proven_at": NOW}, {"stored": False}, {"partial": True},
    {"partial": True, "type": "on-demand", "proven_at": NOW}, {"state": "cancelled", "pinned": True},
]  # fmt: skip
_OTHERS: list[dict[str, Any]] = [
    {"type": "base"}, {"type": "base", "state": "failed"}, {"type": "base", "proven_at": NOW, "pinned": True},
    {"adopted": True}, {"adopted": True, "verification_passed": False}, {"untrusted": True},
    {"untrusted": True, "verification_passed": False}, {"active": True}, {"active": True, "verification_passed": False},
    {"state": "queued"}, {"state": "running", "type": "on-demand"}, {"state": "running", "finished_at": None},
    {"state": "deleting"}, {"state": "deleting", "pinned": True}, {"state": "expired", "proven_at": NOW},
]  # fmt: skip


TURNS = [NOW, *(datetime.fromisoformat(f"{day}Z") for day in (
    "2026-12-31T23:59:59", "2027-01-01T00:00:00", "2027-01-02T02:00:00", "2027-01-04T00:00:00", "2028-02-29T12:00:00",
    "2026-11-30T23:00:00", "2024-12-29T12:00:00", "2025-12-31T02:00:00", "2026-01-01T12:00:00"))]  # fmt: skip
"""Ends and beginnings of days, weeks, months and years."""


def _candidate(now: datetime, number: int, drawn: tuple[timedelta, dict[str, Any], int]) -> Candidate:
    age, kind, chance = drawn
    at = (now - age).astimezone(_ZONES[chance % len(_ZONES)])
    return Candidate(**{"id": f"b{chance:02d}-{number}", "finished_at": at} | kind)


def inventories(*, most: int = 30, now: datetime = NOW) -> st.SearchStrategy[list[Candidate]]:
    """The backups of one database, around ``now``."""
    kinds = _GOOD * 2 + _LOGICAL + _OTHERS
    drawn = st.lists(st.tuples(_AGES, st.sampled_from(kinds), st.integers(0, 99)), max_size=most)
    return drawn.map(lambda found: [_candidate(now, number, each) for number, each in enumerate(found)])


def policies() -> st.SearchStrategy[RetentionPolicy]:
    """A policy of small numbers, of which some are zero."""
    counts = st.tuples(*[st.integers(0, most) for most in (9, 6, 14, 7)]).filter(any)
    return st.builds(lambda four, minimum: RetentionPolicy(*four, minimum=minimum), counts, st.integers(1, 5))
