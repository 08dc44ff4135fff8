"""What a store will hold under a policy, if backups go on at today's rhythm and growth.

The coming backups are made up, all of them good; the planner then says what of them and of today's is left at the
horizon. Cleanups in between change nothing: what goes once would go later as well (``keep_until``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.retention.planner import Candidate, plan
from services.retention.policy import RetentionPolicy, Tier
from services.retention.rhythm import Rhythm

MOST_COMING = 20_000
"""So many coming backups are made up at most; a quicker rhythm is thinned out to that."""


@dataclass(frozen=True)
class KeptAt:
    """One backup that is kept at the horizon."""

    finished_at: datetime
    tiers: tuple[Tier, ...]
    """Empty: something else keeps it."""
    is_there: bool
    """True for one of today's, False for one that is yet to come."""
    bytes: int


@dataclass(frozen=True)
class StoreAt:
    """A store at one instant, right after a cleanup."""

    at: datetime
    kept: tuple[KeptAt, ...]
    """The newest first."""

    @property
    def backups(self) -> int:
        return len(self.kept)

    @property
    def bytes(self) -> int:
        return sum(backup.bytes for backup in self.kept)

    @property
    def of_today(self) -> int:
        """How many of today's backups are still there."""
        return sum(backup.is_there for backup in self.kept)

    def count(self, tier: Tier) -> int:
        return sum(tier in backup.tiers for backup in self.kept)


def forecast(
    candidates: Sequence[Candidate], policy: RetentionPolicy, rhythm: Rhythm, now: datetime, horizon: timedelta
) -> StoreAt:
    """Return the store of one database at ``now + horizon``, cleaned up under a policy. Zero: a cleanup right now."""
    at = now + horizon
    everything = [*candidates, *coming(candidates, rhythm, now, at)]
    decisions = plan(everything, policy, at)
    kept = [
        KeptAt(candidate.finished_at, decision.tiers, index < len(candidates), candidate.bytes)
        for index, (candidate, decision) in enumerate(zip(everything, decisions, strict=True))
        if decision.keep and candidate.finished_at is not None
    ]
    kept.sort(key=lambda backup: backup.finished_at, reverse=True)
    return StoreAt(at, tuple(kept))


def coming(candidates: Sequence[Candidate], rhythm: Rhythm, now: datetime, until: datetime) -> list[Candidate]:
    """Make up the backups of one database, of which ``candidates`` are there, from now to the horizon."""
    database = candidates[0].database if candidates else ""
    made: list[Candidate] = []
    for kind, every, last in (
        ("scheduled", rhythm.every, rhythm.last_at),
        ("on-demand", rhythm.on_demand_every, now),
    ):
        if every is None or last is None:
            continue
        every = max(every, (until - now) / MOST_COMING)
        at = last + every * ((now - last) // every + 1)  # a night that failed does not shift the ones to come
        while at <= until:
            made.append(
                Candidate(f"~{kind}-{len(made):06d}", at, type=kind, database=database, bytes=rhythm.bytes_at(now, at))
            )
            at += every
    return made
