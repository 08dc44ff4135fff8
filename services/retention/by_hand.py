"""Which backups a person may delete by hand, and which are spared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.errors import InputError
from services.retention.plans import DatabasePlan, PlannedBackup
from services.retention.words import REASON_WORDS, UNNAMED_HINT

_UNNAMED = REASON_WORDS["unnamed storage"]


@dataclass(frozen=True)
class Choice:
    """What would be deleted, and what of the same age is spared, with the reason; the oldest first."""

    going: tuple[PlannedBackup, ...]
    spared: tuple[tuple[PlannedBackup, str], ...]


def choose_older(plans: Iterable[DatabasePlan], than: datetime, *, forced: bool) -> Choice:
    """Return the backups that finished before an instant. ``forced``: the newest good and proven ones may go, too."""
    going: list[PlannedBackup] = []
    spared: list[tuple[PlannedBackup, str]] = []
    for plan in plans:
        for backup in reversed(plan.backups):
            if backup.finished_at >= than:
                break
            why = protection(backup, plan.policy.minimum, forced=forced)
            if not why and backup.candidate.type == "base":
                why = "a base backup; it goes with its window"
            if why:
                spared.append((backup, why))
            else:
                going.append(backup)
    return Choice(tuple(going), tuple(spared))


def protection(backup: PlannedBackup, minimum: int, *, forced: bool) -> str:
    """Return what protects a backup from being deleted by hand, empty for nothing."""
    reasons = backup.decision.reasons
    if "pinned" in reasons:
        return "pinned"
    if "active" in reasons:
        return "a run works on it"
    if "locked" in reasons:
        return f"locked until {backup.candidate.locked_until:%Y-%m-%d %H:%M} UTC"
    if "unnamed storage" in reasons:
        return _UNNAMED
    if forced:
        return ""
    if "minimum" in reasons:
        return "the newest good backup" if minimum == 1 else f"one of the {minimum} newest good backups"
    return "the newest proven backup" if "proven" in reasons else ""


def check_deletable(backup: PlannedBackup, minimum: int, *, forced: bool) -> None:
    """Raise InputError when a backup that somebody named may not be deleted so."""
    why = protection(backup, minimum, forced=forced)
    if not why:
        return
    if why == _UNNAMED:
        raise InputError(f"{backup.name} is not deleted: {why}.", hint=UNNAMED_HINT)
    if why.startswith("locked"):
        hint = "Its storage lets nobody delete it before."
    else:
        hint = {
            "pinned": "Unpin it first, if it may really go: `backups unpin`.",
            "a run works on it": "Wait for the run, or cancel it: `backups runs`.",
        }.get(why, "Give a reason to delete it all the same: --force REASON.")
    raise InputError(f"{backup.name} is not deleted: {'it is ' if why != 'a run works on it' else ''}{why}.", hint=hint)
