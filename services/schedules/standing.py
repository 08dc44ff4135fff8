"""How the slots of the backup schedules stand, from the catalogue: two or three queries for any number of databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from services.catalog.slot_evidence import stored_backups
from services.installation import Installation
from services.schedules.definitions import schedule_name
from services.schedules.history import current, last_due, slots_between
from services.schedules.model import ScheduleVersion, Slot
from services.schedules.outcomes import CLOCK_TOLERANCE, SlotOutcome, StoredBackup, explain, judge
from services.schedules.retries import keys_of

Histories = Mapping[str, Sequence[ScheduleVersion]]
"""Every schedule's versions, by its name, as ``catalog.schedules.all()`` returns them."""
_RECENT = 2
"""Slots before now that decide how a database stands: the newest, and the one before it while that is open."""
_FOLLOWING = timedelta(days=40)
"""Longer than from one slot of a monthly schedule to the next."""


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


def slots_of_day(inst: Installation, databases: Sequence[str], day: date) -> dict[str, list[SlotOutcome] | None]:
    """Return how the backup slots of a UTC day stand, also those that are not due yet, which are open.

    None for a database that had no schedule on that day.
    """
    now, begins = inst.clock(), datetime.combine(day, time(), tzinfo=UTC)
    ends = begins + timedelta(days=1)
    histories = inst.catalog.schedules.all()
    # With what follows: a backup of the next day counts for the next slot, not for the last one of this day.
    slots = {
        name: slots_between(backup_history(histories, name), begins, max(ends, min(now, ends + _FOLLOWING)))
        for name in databases
    }
    found: dict[str, list[SlotOutcome] | None] = {}
    for name, standing in judge_slots(inst, slots, now).items():
        version = current(backup_history(histories, name), min(now, ends))
        of_day = [outcome for outcome in standing.outcomes if outcome.slot.due < ends]
        found[name] = of_day if of_day or (version is not None and version.is_on) else None
    return found


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
    return [key for outcomes in judged for outcome in outcomes if outcome.is_miss for key in keys_of(outcome.slot)]
