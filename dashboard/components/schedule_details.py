"""One schedule: when it comes due, what became of its last slot, its history, and the form that changes it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.format import ago, day, escape, instant
from dashboard.guard import show_error
from dashboard.slot_frames import schedule_state
from dashboard.theme import SCHEDULE_MARKS, slot_mark
from services.commands.schedules import parse_deadline
from services.errors import BackupsError
from services.schedules.cron import check_cron, cron_in_words, time_zones
from services.schedules.model import ScheduleVersion
from services.schedules.overview import NEXT, ScheduleRow
from services.schedules.slots import next_slots
from services.status import age

WORDS = {
    "backup": "A scheduled backup, verified at its end.",
    "restore_test": "A restore test of a random good backup of last month.",
    "verification": "The good backup that was looked at longest ago, read to its end.",
    "cleanup": "Backups that no tier of the retention policy keeps are deleted.",
    "janitor": "Leftovers on all storages and servers, removed when older than a day.",
    "health": "The health checks, run and reported.",
}


@dataclass(frozen=True)
class Change:
    """What a person wants a schedule to be."""

    cron: str
    time_zone: str
    deadline: timedelta
    reason: str


def schedule_facts(row: ScheduleRow, now: datetime) -> None:
    """Draw what the schedule does, when, and how its last slot ended."""
    state = schedule_state(row)
    st.markdown(f"{SCHEDULE_MARKS[state].badge(state)} {WORDS[row.version.job]}")
    limit = f" · deadline {age(row.version.deadline)}" if row.version.cron else ""
    st.markdown(f"**{escape(row.when)}**{limit}")
    if row.in_force and row.version.source == "person":
        word = "Paused" if state == "paused" else "Changed"
        why = f": {escape(row.version.reason)}" if row.version.reason else ""
        since = ago(row.version.valid_from, now)
        st.markdown(f"{word} {since} by {escape(row.version.actor)}{why}", help=instant(row.version.valid_from))
    if row.next_due:
        st.markdown(f"Next due **{ago(row.next_due[0], now)}**", help=instant(row.next_due[0]))
    if row.last is not None:
        mark = slot_mark(row.last.state)
        cause = f"  \n:gray[{escape(row.last.cause)}]" if row.last.cause else ""
        st.markdown(
            f"Last slot, due {ago(row.last.due, now)}: {mark.inline(escape(row.last.state))}{cause}",
            help=f"Due {instant(row.last.due)}, deadline {instant(row.last.deadline_at)}",
        )


def change_form(row: ScheduleRow, now: datetime) -> Change | None:
    """Draw the form, with the next five due times of what it says; return the change when it is to be saved."""
    version, name = row.version, row.schedule
    cron = st.text_input(
        "Cron line: minute, hour, day of the month, month, day of the week",
        version.cron,
        key=f"cron-{name}",
        placeholder="0 2 * * *; empty: never",
    )
    left, right = st.columns(2)
    zones = time_zones()
    zone = left.selectbox("Time zone", zones, index=zones.index(version.time_zone), key=f"zone-{name}")
    limit = right.text_input("Deadline", _length(version.deadline), key=f"deadline-{name}", help="4h, 90min")
    reason = st.text_input("Reason", key=f"reason-{name}", max_chars=2000, placeholder="Why; it is recorded.")
    try:
        change = Change(check_cron(cron), str(zone), parse_deadline(limit), reason.strip())
    except BackupsError as error:
        show_error(error)
        return None
    _preview(change, now, paused=version.paused)
    clicked = st.button("Save", type="primary", icon=":material/save:", key=f"save-{name}")
    return change if clicked else None


def history(versions: tuple[ScheduleVersion, ...], now: datetime) -> None:
    """Draw the schedule's versions, the newest first."""
    with st.expander(f"{len(versions)} {'version' if len(versions) == 1 else 'versions'}", icon=":material/history:"):
        lines = []
        for version in reversed(versions):
            what = escape(cron_in_words(version.cron, version.time_zone)) + (" · paused" if version.paused else "")
            why = f" · {escape(version.reason)}" if version.reason else ""
            since = f"{ago(version.valid_from, now)} ({day(version.valid_from)})"
            lines.append(f"- **{what}** · deadline {age(version.deadline)} · {since} by {escape(version.actor)}{why}")
        st.markdown("\n".join(lines))


def _preview(change: Change, now: datetime, *, paused: bool) -> None:
    dues = next_slots(change.cron, change.time_zone, now, NEXT)
    if not dues:
        st.info("It will never come due.", icon=":material/event_busy:")
        return
    once = ", once it is resumed" if paused else ""
    st.markdown(f"**{escape(cron_in_words(change.cron, change.time_zone))}.** The next five due times{once}:")
    zone = ZoneInfo(change.time_zone)
    lines = []
    for due in dues:
        local = due.astimezone(zone)
        there = f"{local:%a %d %b %H:%M} {local.tzname()}" if change.time_zone != "UTC" else f"{due:%a %d %b %H:%M} UTC"
        utc = f" :gray[= {due:%H:%M} UTC]" if change.time_zone != "UTC" else ""
        lines.append(f"- {escape(there)}{utc} :gray[· {ago(due, now)}]")
    st.markdown("\n".join(lines))


def _length(length: timedelta) -> str:
    """Return a duration as ``parse_duration`` reads it."""
    seconds = int(length.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
