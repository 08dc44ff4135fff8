"""How the slots of the backup schedules stand, from the catalogue: two or three queries for any number of databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.catalog.slot_evidence import stored_backups
from services.installation import Installation
from services.schedules.definitions import schedule_name
from services.schedules.history import last_due, slots_between
from services.schedules.model import ScheduleVersion, Slot
from services.schedules.outcomes import CLOCK_TOLERANCE, SlotOutcome, StoredBackup, explain, judge

Histories = Mapping[str, Sequence[ScheduleVersion]]
"""Every schedule's versions, by its name, as ``catalog.schedules.all()`` returns them."""
_RECENT = 2
"""Slots before now that decide how a database stands: the newest, and the one before it while that is open."""


@dataclass(frozen=True)
class Standing:
    """One database's slots in order of time, and the backups by which they were judged."""

    outcomes: tuple[SlotOutcome, ...]
    backups: tuple[StoredBackup, ...]

    @property
    def last_settled(self) -> SlotOutcome | None:
        """The newest slot of which it is known how it ended: satisfied, or past its deadline."""
        return next((outcome for outcome in reversed(self.outcomes) if outcome.state != "open"), None)


def backup_history(histories: Histories, database: str) -> Sequence[ScheduleVersion]:
    """Return the versions of a database's backup schedule."""
    return histories.get(schedule_name("backup", database), ())


def recent_slots(histories: Histories, database: str, now: datetime, since: datetime | None = None) -> list[Slot]:
    """Return a database's slots from ``since`` on that are due by ``now``, and at least the newest two."""
    history = backup_history(histories, database)
    newest = last_due(history, now, _RECENT)
    if since is None:
        return newest
    found = {slot.due: slot for slot in newest} | {slot.due: slot for slot in slots_between(history, since, now)}
    return [found[due] for due in sorted(found)]


def judge_slots(
    inst: Installation,
    slots: Mapping[str, Sequence[Slot]],
    now: datetime,
    *,
    backups_since: datetime | None = None,
) -> dict[str, Standing]:
    """Given each database's slots in order of time, without a gap, return how they stand, with the causes of misses.

    ``backups_since``: also return the backups that were finished since then, whatever slots there are.
    """
    first = {name: slots[name][0].due - CLOCK_TOLERANCE for name in slots if slots[name]}
    if backups_since is not None:
        first = {name: min(first.get(name, backups_since), backups_since) for name in slots}
    backups = stored_backups(inst.catalog.engine, first)
    judged = {name: judge(slots[name], backups.get(name, ()), now) for name in slots}
    runs = inst.catalog.runs.by_idempotency_keys(_keys_of_misses(judged.values()))
    return {
        name: Standing(tuple(explain(outcomes, runs)), tuple(backups.get(name, ())))
        for name, outcomes in judged.items()
    }


def _keys_of_misses(judged: Iterable[Iterable[SlotOutcome]]) -> list[str]:
    return [outcome.slot.key for outcomes in judged for outcome in outcomes if outcome.is_miss]
