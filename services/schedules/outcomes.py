"""How slots ended: derived from backups, and explained by runs, whenever somebody looks. Pure.

A backup counts for one slot: the newest that was due when its data was read. It satisfies the slot when it is good and
was finished by the deadline. That it has expired since, by policy, undoes nothing; a failed verification does. Every
type of backup counts: a slot asks for a good backup, not for one particular run.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from services.catalog.model import Run
from services.schedules.model import Slot
from services.schedules.retries import runs_of
from services.units import format_duration

SlotState = Literal["satisfied", "late", "missed", "open"]
STATES: tuple[SlotState, ...] = ("satisfied", "late", "missed", "open")
Fault = Literal["", "failed", "untrusted", "adopted", "partial", "base"]

CLOCK_TOLERANCE = timedelta(minutes=1)
"""A backup whose data was read up to this long before a due time counts for it: workers' clocks differ a little."""


class StoredBackup(NamedTuple):
    """A backup, as much of it as a slot is judged by; ``fault`` says why it is not good."""

    id: str
    started_at: datetime
    snapshot_at: datetime
    finished_at: datetime
    fault: Fault = ""

    @property
    def held_at(self) -> datetime:
        """When its data was read: at its snapshot, within the time in which its run worked by our own clock.

        The snapshot's time comes from the database's server, whose clock may be wrong.
        """
        return min(max(self.snapshot_at, self.started_at), self.finished_at)


@dataclass(frozen=True)
class SlotOutcome:
    """How one slot stands at a moment."""

    slot: Slot
    state: SlotState
    """``late``: there is a good backup of it, finished after the deadline. ``open``: neither satisfied nor past it."""
    decided: bool
    """Whether its deadline has passed: only then does it count in the SLO, as good or as bad."""
    finished_at: datetime | None = None
    """When its first good backup was finished."""
    backup_id: str | None = None
    fault: Fault = ""
    """Of a slot without a good backup: what is wrong with the one that there is."""
    cause: str = ""
    """Why it is late or missed, in a sentence."""
    run_id: str | None = None
    """Of a slot that is late or missed: its own run, if there was one."""

    @property
    def is_miss(self) -> bool:
        """Late or missed: the SLO knows no difference."""
        return self.state in ("late", "missed")


@dataclass(frozen=True)
class SlotDay:
    """The slots that were due on one UTC day, by their state."""

    day: date
    satisfied: int = 0
    late: int = 0
    missed: int = 0
    open: int = 0

    @property
    def state(self) -> SlotState:
        """The worst of them; an open one is worse than a satisfied one."""
        return "missed" if self.missed else "late" if self.late else "open" if self.open else "satisfied"


def judge(slots: Sequence[Slot], backups: Iterable[StoredBackup], now: datetime) -> list[SlotOutcome]:
    """Given one schedule's slots in order of time and its database's backups, return how each slot stands at ``now``.

    The slots must be all there are between the first and the last one. Backups dated after ``now`` are not believed.
    """
    latest = now + CLOCK_TOLERANCE
    there = (backup for backup in backups if backup.finished_at <= latest)
    believed = sorted((held, backup) for backup in there if (held := backup.held_at) <= latest)
    times = [held for held, _ in believed]
    borders = [bisect_left(times, slot.due - CLOCK_TOLERANCE) for slot in slots] + [len(times)]
    return [
        _judge(slot, [backup for _, backup in believed[start:end]], now)
        for slot, (start, end) in zip(slots, pairwise(borders), strict=True)
    ]


def _judge(slot: Slot, backups: Sequence[StoredBackup], now: datetime) -> SlotOutcome:
    decided = now > slot.deadline_at
    good = min((b for b in backups if not b.fault), key=lambda b: b.finished_at, default=None)
    if good is not None:
        state: SlotState = "satisfied" if good.finished_at <= slot.deadline_at else "late" if decided else "open"
        return SlotOutcome(slot, state, decided, good.finished_at, good.id)
    bad = backups[-1] if backups else None
    state = "missed" if decided else "open"
    return SlotOutcome(slot, state, decided, None, bad.id if bad else None, bad.fault if bad else "")


def explain(outcomes: Iterable[SlotOutcome], runs: Mapping[str, Run]) -> list[SlotOutcome]:
    """Return the outcomes with the cause of each late or missed one. ``runs``: those of the slots, by their keys."""
    return [_explained(outcome, runs_of(outcome.slot, runs)) if outcome.is_miss else outcome for outcome in outcomes]


def _explained(outcome: SlotOutcome, runs: Sequence[Run]) -> SlotOutcome:
    return replace(outcome, cause=_cause(outcome, runs), run_id=runs[-1].id if runs else None)


def _cause(outcome: SlotOutcome, runs: Sequence[Run]) -> str:
    slot = outcome.slot
    if outcome.state == "late":
        assert outcome.finished_at is not None
        after = format_duration(outcome.finished_at - slot.due)
        late = f"Finished {after} after it was due; the deadline is {format_duration(slot.deadline)}."
        return late if not runs or runs[-1].state == "finished" else f"{late} {_of_runs(runs)}"
    if outcome.fault:
        return _FAULTS[outcome.fault]
    return _of_runs(runs)


_FAULTS: dict[Fault, str] = {
    "failed": "Its backup failed a verification.",
    "partial": "There is only a partial backup, from which tables were left out.",
    "untrusted": "The signature of its backup is not trusted.",
    "adopted": "There is only a file that was made elsewhere.",
    "base": "There is only a base backup, which is one of the whole server.",
}


def _of_runs(runs: Sequence[Run]) -> str:
    """Say what became of a slot's runs: of the last one, and how many failed before it."""
    if not runs:
        return "Never started: no worker took it up."
    *before, run = runs
    its = f"Its run failed, and retry {len(before)}" if before else "Its run"
    said = {
        "failed": f"{_all_of(runs)} failed: {run.error}",
        "lost": f"{its} was lost with its worker.",
        "cancelled": f"{its} was cancelled: {run.error}" if run.error else f"{its} was cancelled.",
        "queued": f"{its} still waits for a worker.",
        "running": f"{its} is still going.",
        "finished": f"{its} began so late that its backup counts for the next slot.",
    }
    return said[run.state]


def _all_of(runs: Sequence[Run]) -> str:
    retries = len(runs) - 1
    return "Its run" if not retries else f"Its run and {retries} {'retry' if retries == 1 else 'retries'}"


def slot_days(outcomes: Iterable[SlotOutcome]) -> tuple[SlotDay, ...]:
    """Return the UTC days on which slots were due, in order, with how those stand."""
    states: defaultdict[date, list[str]] = defaultdict(list)
    for outcome in outcomes:
        states[outcome.slot.due.astimezone(UTC).date()].append(outcome.state)
    return tuple(SlotDay(day, *(states[day].count(state) for state in STATES)) for day in sorted(states))
