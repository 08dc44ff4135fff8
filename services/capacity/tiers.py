"""What each tier of the retention policy costs: the bytes of the backups that it keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from services.retention.plans import DatabasePlan, PlannedBackup

Keeper = Literal["daily", "weekly", "monthly", "yearly", "other", "none"]
"""A tier; ``other`` for what is kept without one (pinned, proven, recent on-demand, …); ``none`` for what goes next."""
KEEPERS: tuple[Keeper, ...] = get_args(Keeper)


@dataclass(frozen=True)
class TierUse:
    """Backups of one database that a tier keeps, and what their copies take in all storages."""

    database: str
    keeper: Keeper
    backups: int
    bytes: int


def use_by_tier(plans: Iterable[DatabasePlan]) -> list[TierUse]:
    """Return what every tier of each plan holds, in the order of KEEPERS; empty ones too.

    A backup that several tiers keep counts in each of them: this is what a tier holds, not what leaving it out frees.
    """
    return [use for plan in plans for use in _uses(plan)]


def _uses(plan: DatabasePlan) -> list[TierUse]:
    counts, held = dict.fromkeys(KEEPERS, 0), dict.fromkeys(KEEPERS, 0)
    for backup in plan.backups:  # once: there may be a hundred thousand
        for keeper in _keepers(backup):
            counts[keeper] += 1
            held[keeper] += backup.candidate.bytes
    return [TierUse(plan.database, each, counts[each], held[each]) for each in KEEPERS]


def _keepers(backup: PlannedBackup) -> tuple[Keeper, ...]:
    if not backup.decision.keep:
        return ("none",)
    return backup.decision.tiers or ("other",)
