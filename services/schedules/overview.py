"""The read model of schedules: what comes due when, how the last slot ended, and the day around now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.catalog.model import Run
from services.installation import Installation
from services.names import unknown_name
from services.schedules.cron import cron_in_words
from services.schedules.history import current, last_due, next_due, slots_between
from services.schedules.model import ScheduleVersion, Slot
from services.schedules.outcomes import SlotOutcome
from services.schedules.retries import keys_of, next_retry, runs_of
from services.schedules.standing import judge_slots
from services.schedules.sync import known_schedules

AROUND = timedelta(hours=24)
"""How far the timeline looks back and ahead."""
NEXT = 5
MOST_MARKS = 300
"""Of one schedule's timeline; with one every five minutes there are 576 in two days."""


@dataclass(frozen=True)
class SlotView:
    """One slot as a page shows it.

    ``state`` is satisfied, late, missed or open for a backup's; for other jobs what their run came to (finished,
    passed, failed, …), missed when there was none by the deadline; ``due`` for one that lies ahead.
    """

    due: datetime
    deadline_at: datetime
    state: str
    cause: str = ""
    finished_at: datetime | None = None
    run_id: str | None = None

    @property
    def words(self) -> str:
        return f"{self.state}. {self.cause}".rstrip(". ") if self.cause else self.state


@dataclass(frozen=True)
class ScheduleRow:
    """One schedule at ``now``."""

    version: ScheduleVersion
    """The one that is valid; what the settings define where none is in force yet."""
    in_force: bool
    """False before the first start of a worker: then nothing comes due."""
    next_due: tuple[datetime, ...]
    last: SlotView | None
    """The newest slot that is due, whatever has become of it so far."""
    around: tuple[SlotView, ...]
    """The slots of the day before and the day after now, in order of time."""
    versions: tuple[ScheduleVersion, ...]

    @property
    def schedule(self) -> str:
        return self.version.schedule

    @property
    def when(self) -> str:
        """When it comes due, in words, with its zone."""
        return cron_in_words(self.version.cron, self.version.time_zone)


@dataclass(frozen=True)
class Schedules:
    """All schedules that this installation can have, those of databases first, in the order of the settings."""

    now: datetime
    rows: tuple[ScheduleRow, ...]

    @property
    def not_in_force(self) -> bool:
        """Whether no worker has ever put the settings' schedules into force."""
        return not any(row.in_force for row in self.rows)


def load_schedules(inst: Installation) -> Schedules:
    """Return the read model. Four queries, and one more for each further thousand slots of the last day."""
    now = inst.clock()
    known, histories = known_schedules(inst), inst.catalog.schedules.all()
    past = {name: _past_slots(histories.get(name, ()), now) for name in known}
    backups = {v.database: past[name] for name, v in known.items() if v.job == "backup" and v.database is not None}
    standings = judge_slots(inst, backups, now)
    keys = [key for name, slots in past.items() if known[name].job != "backup" for s in slots for key in keys_of(s)]
    runs = inst.catalog.runs.by_idempotency_keys(keys)
    rows = []
    for name, defined in known.items():
        if defined.job == "backup" and defined.database is not None:
            views = [_of_outcome(outcome) for outcome in standings[defined.database].outcomes]
        else:
            views = [_of_run(slot, runs, now) for slot in past[name]]
        rows.append(_row(defined, histories.get(name, ()), views, now))
    return Schedules(now, tuple(rows))


def load_schedule(inst: Installation, name: str) -> ScheduleRow:
    """Return one schedule. Raise UnknownName."""
    return find_schedule(load_schedules(inst), name)


def find_schedule(schedules: Schedules, name: str) -> ScheduleRow:
    """Return the schedule of that name. Raise UnknownName, which says what comes close."""
    rows = {row.schedule: row for row in schedules.rows}
    if name not in rows:
        raise unknown_name("schedule", name, rows)
    return rows[name]


def _past_slots(history: Sequence[ScheduleVersion], now: datetime) -> list[Slot]:
    """Return the newest slots, those of the last day and at least one, in order of time."""
    found = {slot.due: slot for slot in last_due(history, now)}
    found |= {slot.due: slot for slot in slots_between(history, now - AROUND, now)[-MOST_MARKS:]}
    return [found[due] for due in sorted(found)]


def _row(
    defined: ScheduleVersion, history: Sequence[ScheduleVersion], past: Sequence[SlotView], now: datetime
) -> ScheduleRow:
    valid = current(history, now)
    version = valid or defined
    ahead = [
        SlotView(due, due + version.deadline, "due")
        for due in next_due(history, now, MOST_MARKS)
        if due <= now + AROUND
    ]
    return ScheduleRow(
        version=version,
        in_force=valid is not None,
        next_due=tuple(next_due(history, now, NEXT)),
        last=past[-1] if past else None,
        around=(*(view for view in past if view.due >= now - AROUND), *ahead),
        versions=tuple(history),
    )


def _of_outcome(outcome: SlotOutcome) -> SlotView:
    slot = outcome.slot
    return SlotView(slot.due, slot.deadline_at, outcome.state, outcome.cause, outcome.finished_at, outcome.run_id)


def _of_run(slot: Slot, runs: Mapping[str, Run], now: datetime) -> SlotView:
    done = runs_of(slot, runs)
    if not done:
        missed = now > slot.deadline_at
        cause = "Never started: no worker took it up, or there was nothing for it to work on." if missed else ""
        return SlotView(slot.due, slot.deadline_at, "missed" if missed else "open", cause)
    run = done[-1]
    state = str(run.result.get("outcome", run.state)) if run.state == "finished" else run.state
    cause = run.error or str(run.result.get("reason", "") if state != "passed" else "")
    if (retry := next_retry(slot, runs)) is not None and now <= slot.deadline_at:
        cause = f"{cause} It is tried again at {retry.at:%H:%M} UTC."
    return SlotView(slot.due, slot.deadline_at, state, cause, run.finished_at, run.id)
