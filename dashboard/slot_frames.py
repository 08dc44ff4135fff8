"""DataFrames of schedules, slots and the service level, each with a documented column schema. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

import pandas as pd

from dashboard.format import NOTHING, ago, day, duration, naive
from services.printable import visible
from services.schedules.outcomes import SlotDay, SlotOutcome
from services.schedules.overview import ScheduleRow, SlotView
from services.slo import DatabaseSlo, Slo
from services.status import age
from services.units import format_share

SCHEDULE_COLUMNS = ("Schedule", "State", "Next due", "Last slot", "When", "Cause")
TIMELINE_COLUMNS = ("schedule", "due", "state", "shape", "words")
SLO_COLUMNS = ("Database", "Satisfied", "Slots", "Missed", "Misses left", "Open", "RPO achieved", "RTO measured")
MISS_COLUMNS = ("Due (UTC)", "Database", "State", "Cause", "Finished")
DAYS_COLUMNS = ("database", "day", "state", "words")
CALENDAR_COLUMNS = ("day", "week", "weekday", "state", "words")

SIGNS = {
    "satisfied": "✓", "finished": "✓", "passed": "✓", "late": "▲", "missed": "✕", "failed": "✕", "lost": "✕",
    "cancelled": "–", "open": "□", "queued": "□", "running": "□",
}  # fmt: skip
_SHAPES = {"✓": "good", "▲": "late", "✕": "bad", "□": "open", "–": "none", "?": "none"}


def slot_count_words(slots: SlotDay) -> list[str]:
    """Say how the slots of a day stand: ``1 of 1 slot satisfied``, and what became of the others."""
    count = slots.satisfied + slots.late + slots.missed + slots.open
    said = [f"{slots.satisfied} of {count} {'slot' if count == 1 else 'slots'} satisfied"]
    others = {"late": slots.late, "missed": slots.missed, "open": slots.open}
    return said + [f"{number} {word}" for word, number in others.items() if number]


def slot_words(state: str) -> str:
    """Return the word for how a slot stands, with a sign of its own."""
    return f"{SIGNS.get(state, '?')} {state}"


def schedule_state(row: ScheduleRow) -> str:
    """Return whether a schedule comes due: on, paused, off, or not in force."""
    if not row.version.cron:
        return "off"
    if not row.in_force:
        return "not in force"
    return "paused" if row.version.paused else "on"


def next_due_words(row: ScheduleRow, now: datetime) -> str:
    """Say when a schedule comes due next, relative and exactly: ``in 14 h · 23 Nov 02:00 UTC``."""
    return f"{ago(row.next_due[0], now)} · {day(row.next_due[0])}" if row.next_due else NOTHING


def last_slot_words(view: SlotView | None, now: datetime) -> str:
    """Say how the last slot stands and when it was due: ``✓ satisfied · 10 h ago``."""
    return NOTHING if view is None else f"{slot_words(view.state)} · {ago(view.due, now)}"


def schedules_frame(rows: Iterable[ScheduleRow], now: datetime) -> pd.DataFrame:
    """Return one row a schedule, with SCHEDULE_COLUMNS, all text."""
    signs = {"on": "● on", "paused": "▮▮ paused", "off": "– off", "not in force": "? not in force yet"}
    table = [
        (
            row.schedule, signs[schedule_state(row)], next_due_words(row, now), last_slot_words(row.last, now),
            row.when, visible(row.last.cause) if row.last else "",
        )
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(table, columns=list(SCHEDULE_COLUMNS))


def timeline_frame(rows: Iterable[ScheduleRow]) -> pd.DataFrame:
    """Return one row a slot of the day before and after now, with TIMELINE_COLUMNS.

    ``due`` is a naive UTC timestamp; ``shape`` is good, late, bad, open, none, or ahead for a slot that lies ahead.
    """
    table = [
        (
            row.schedule, naive(view.due), view.state,
            "ahead" if view.state == "due" else _SHAPES[SIGNS.get(view.state, "?")],
            f"due {day(view.due)}" if view.state == "due" else f"due {day(view.due)}: {view.words}",
        )
        for row in rows
        for view in row.around
    ]  # fmt: skip
    return pd.DataFrame(table, columns=list(TIMELINE_COLUMNS))


def slo_frame(slo: Slo) -> pd.DataFrame:
    """Return one row a database, those that break their target first, with SLO_COLUMNS; counts are integers."""
    ordered = sorted(slo.databases, key=lambda found: (found.tally.is_kept is not False, found.tally.is_kept is None))
    table = [
        (
            found.database, _share(found), found.tally.slots, found.tally.missed, budget_words(found), found.tally.open,
            rpo_words(found), rto_words(found),
        )
        for found in ordered
    ]  # fmt: skip
    return pd.DataFrame(table, columns=list(SLO_COLUMNS))


def _share(found: DatabaseSlo) -> str:
    sign = {True: "✓ ", False: "✕ ", None: "? "}[found.tally.is_kept]
    return sign + format_share(found.tally.satisfied, found.tally.slots)


def budget_words(found: DatabaseSlo) -> str:
    """Say what is left of the budget: ``0 of 0 allowed``, or by how much it is overspent."""
    tally = found.tally
    if not tally.slots:
        return NOTHING
    return f"{tally.left} of {tally.allowed}" if tally.left >= 0 else f"{-tally.left} too many"


def gap(length: timedelta) -> str:
    """Return the time between two backups; in hours and minutes up to three days, to be told from a limit of 24 h."""
    if length >= timedelta(days=3) or length < timedelta(hours=1):
        return duration(length)
    hours, seconds = divmod(int(length.total_seconds()), 3600)
    return f"{hours} h {seconds // 60:02d} min"


def rpo_words(found: DatabaseSlo) -> str:
    """Say the RPO that was achieved against its limit."""
    if found.rpo_achieved is None:
        return f"{NOTHING} · limit {age(found.rpo)}"
    return f"{'✓' if found.rpo_kept else '✕'} {gap(found.rpo_achieved)} · limit {age(found.rpo)}"


def rto_words(found: DatabaseSlo) -> str:
    """Say the RTO that restore tests measured against its limit."""
    if found.restores is None:
        return f"{NOTHING} · limit {age(found.rto)}"
    return f"{'✓' if found.rto_kept else '✕'} {duration(found.restores.slowest_seconds)} · limit {age(found.rto)}"


def misses_frame(misses: Sequence[SlotOutcome]) -> pd.DataFrame:
    """Return one row a late or missed slot, with MISS_COLUMNS; ``Due (UTC)`` is naive, the rest text."""
    table = [
        (
            naive(miss.slot.due), miss.slot.database, slot_words(miss.state), visible(miss.cause),
            day(miss.finished_at),
        )
        for miss in misses
    ]  # fmt: skip
    return pd.DataFrame(table, columns=list(MISS_COLUMNS))


def days_frame(slo: Slo) -> pd.DataFrame:
    """Return one row a database and UTC day of the window, with DAYS_COLUMNS.

    ``day`` is a timestamp, ``state`` satisfied, late, missed, open or none; ``words`` is the tooltip.
    """
    table = []
    for found in slo.databases:
        due = {each.day: each for each in found.days}
        table += [(found.database, pd.Timestamp(date), *_of_days([due.get(date)])) for date in _dates(slo)]
    return pd.DataFrame(table, columns=list(DAYS_COLUMNS))


def calendar_frame(slo: Slo) -> pd.DataFrame:
    """Return one row a UTC day of the window, with CALENDAR_COLUMNS: the slots of all its databases together.

    ``day`` and ``week`` (its Monday) are timestamps, ``weekday`` Mon to Sun; the rest as in ``days_frame``.
    """
    due: dict[date, list[SlotDay | None]] = {}
    for found in slo.databases:
        for each in found.days:
            due.setdefault(each.day, []).append(each)
    table = [
        (
            pd.Timestamp(date), pd.Timestamp(date - timedelta(days=date.weekday())), f"{date:%a}",
            *_of_days(due.get(date, [])),
        )
        for date in _dates(slo)
    ]  # fmt: skip
    return pd.DataFrame(table, columns=list(CALENDAR_COLUMNS))


def _dates(slo: Slo) -> list[date]:
    """Return the days of the window; the first, of which it has only the end, where a slot was due then."""
    first, last = slo.since.astimezone(UTC).date(), slo.now.astimezone(UTC).date()
    if not any(each.day == first for found in slo.databases for each in found.days):
        first += timedelta(days=1)
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _of_days(days: Sequence[SlotDay | None]) -> tuple[str, str]:
    """Return the state of some databases' slots of one day, and how they stand in words."""
    there = [each for each in days if each is not None]
    if not there:
        return "none", "no slot"
    total = SlotDay(
        there[0].day, sum(each.satisfied for each in there), sum(each.late for each in there),
        sum(each.missed for each in there), sum(each.open for each in there),
    )  # fmt: skip
    return total.state, " · ".join(slot_count_words(total))
