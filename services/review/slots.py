"""The slots of the five weeks: how each stands as far as is known now, and each database's seven days."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from services.installation import Installation
from services.review.model import DayOfSlots
from services.review.queries import WeekBackup
from services.review.week import LONG, Period, Week
from services.schedules.history import slots_between
from services.schedules.outcomes import SlotOutcome, explain, judge
from services.schedules.retries import keys_of
from services.schedules.standing import Histories, backup_history

LATEST = timedelta(days=31)
"""The longest deadline that a schedule may have: so long after a week its slots can still be satisfied."""


@dataclass(frozen=True)
class WeekTally:
    """The backup slots of one week, counted. Late ones are missed, as for the SLO; open ones are neither."""

    satisfied: int = 0
    missed: int = 0
    open: int = 0

    @property
    def decided(self) -> int:
        return self.satisfied + self.missed

    @property
    def share(self) -> float | None:
        """Percent satisfied; None where no slot is decided."""
        return 100 * self.satisfied / self.decided if self.decided else None


def backup_slots(
    databases: Iterable[str], histories: Histories, found: Mapping[str, Sequence[WeekBackup]], since: datetime,
    until: datetime, now: datetime,
) -> dict[str, list[SlotOutcome]]:  # fmt: skip
    """Return how each database's backup slots due from ``since`` on and before ``until`` stand now, without causes."""
    outcomes = {}
    for name in databases:
        versions = backup_history(histories, name)
        # With the slots that follow: a backup of the next day counts for the next slot, not for the week's last one.
        slots = slots_between(versions, since, max(until, min(now, until + LATEST) + LONG))
        judged = judge(slots, [backup.judged for backup in found.get(name, ())], now)
        outcomes[name] = [outcome for outcome in judged if outcome.slot.due < until]
    return outcomes


def tally(outcomes: Iterable[SlotOutcome], period: Period) -> WeekTally:
    """Count the slots that were due in a period."""
    satisfied = missed = still = 0
    for outcome in outcomes:
        if period.start <= outcome.slot.due < period.end:
            if outcome.is_miss:
                missed += 1
            elif outcome.state == "satisfied":
                satisfied += 1
            else:
                still += 1
    return WeekTally(satisfied, missed, still)


def misses(inst: Installation, outcomes: Iterable[SlotOutcome], period: Period) -> list[SlotOutcome]:
    """Return the late and missed slots of a period in order of time, with their causes. At most one query."""
    missed = [o for o in outcomes if o.is_miss and period.start <= o.slot.due < period.end]
    if not missed:
        return []
    runs = inst.catalog.runs.by_idempotency_keys(key for outcome in missed for key in keys_of(outcome.slot))
    return sorted(explain(missed, runs), key=lambda outcome: (outcome.slot.due, outcome.slot.schedule))


def days_of_week(
    week: Week, outcomes: Iterable[SlotOutcome], backups: Iterable[WeekBackup], causes: Mapping[str, str]
) -> tuple[DayOfSlots, ...]:
    """Return a database's seven days. ``causes``: of its misses, by ``Slot.key``."""
    due: defaultdict[date, list[SlotOutcome]] = defaultdict(list)
    for outcome in outcomes:
        due[_day(outcome.slot.due)].append(outcome)
    made: defaultdict[date, int] = defaultdict(int)
    for backup in backups:
        made[_day(backup.judged.finished_at)] += backup.is_good
    return tuple(_day_of_slots(day, due[day], made[day], causes) for day in week.days)


def _day_of_slots(day: date, due: Sequence[SlotOutcome], made: int, causes: Mapping[str, str]) -> DayOfSlots:
    states = [outcome.state for outcome in due]
    counts = {name: states.count(name) for name in ("satisfied", "late", "missed", "open")}
    said = [_said(outcome, causes) for outcome in due if outcome.is_miss]
    said += [f"{n} {'slot' if n == 1 else 'slots'} {state}" for state, n in counts.items() if n and state in _WELL]
    if not due:
        said = [f"no slot was due; {made} good {'backup' if made == 1 else 'backups'}"] if made else ["no slot was due"]
    return DayOfSlots(day, **counts, good_backups=made, words=" · ".join(said))


_WELL = ("satisfied", "open")


def _said(outcome: SlotOutcome, causes: Mapping[str, str]) -> str:
    cause = causes.get(outcome.slot.key, "")
    return f"{outcome.state}: the slot of {outcome.slot.due:%H:%M}{'. ' + cause if cause else ''}"


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()
