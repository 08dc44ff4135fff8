"""All schedules in one table, under the day around now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import streamlit as st

from dashboard.charts.timeline import LEGEND, timeline
from dashboard.format import ago, escape
from dashboard.slot_frames import next_due_words, schedule_state, schedules_frame, timeline_frame
from dashboard.theme import palette, slot_mark
from services.schedules.overview import AROUND, ScheduleRow

_LINES = 5
"""Last slots that went wrong, each with a line of its own above the table."""
_ROWS = 15
"""Rows of a table that are all shown; a longer one scrolls."""


def table_height(rows: int) -> int | Literal["content"]:
    """Return the height of a table: that of its rows, up to a screen."""
    return "content" if rows <= _ROWS else 540


def schedules_summary(rows: Sequence[ScheduleRow], now: datetime) -> None:
    """Draw in one line how many schedules are on and what comes next, then each whose last slot went wrong."""
    states = [schedule_state(row) for row in rows]
    on, paused = states.count("on"), states.count("paused")
    said = [f"{on} of {len(rows)} schedules {'is' if on == 1 else 'are'} on"]
    if paused:
        said.append(f"{paused} paused")
    coming = min((row for row in rows if row.next_due), key=lambda row: row.next_due[0], default=None)
    if coming is not None:
        said.append(f"next: **{escape(coming.schedule)}** {next_due_words(coming, now)}")
    st.markdown(" · ".join(said))
    bad = [
        f"{mark.inline()} **{escape(row.schedule)}** :{mark.tone}[{escape(row.last.state)}] · due "
        f"{ago(row.last.due, now)} · :gray[{escape(row.last.cause)}]"
        for row in rows
        if row.last is not None and (mark := slot_mark(row.last.state)).tone in ("red", "yellow")
    ]
    if len(bad) > _LINES:
        bad[_LINES:] = [f":gray[and {len(bad) - _LINES} more, marked in the table below]"]
    if bad:
        st.markdown("  \n".join(bad))


def day_around(rows: Sequence[ScheduleRow], now: datetime, *, theme: str | None) -> None:
    """Draw the slots of the last and the next 24 hours."""
    frame = timeline_frame(rows)
    if frame.empty:
        return
    st.markdown("## The last and the next 24 hours", anchors=False)
    words = ". ".join(f"{each.schedule} {each.words}" for each in frame.itertuples())
    chart = timeline(frame, now, AROUND, palette(theme))
    st.altair_chart(chart, theme=None, key="timeline", alt=f"Slots of two days, UTC. {words}"[:2000])
    st.markdown(f":small[{LEGEND} · times in UTC, the broken line is now]")


def schedules_table(rows: Sequence[ScheduleRow], now: datetime) -> ScheduleRow | None:
    """Draw the table; return the schedule whose row is selected."""
    st.markdown("## All schedules", anchors=False)
    st.caption("Select a row to run it now, to pause it or to change it.")
    event = st.dataframe(
        schedules_frame(rows, now),
        hide_index=True,
        key=f"schedules-{st.session_state.get('schedules-look', 0)}",
        on_select="rerun",
        selection_mode="single-row",
        height=table_height(len(rows)),
        alt=f"{len(rows)} schedules: when each is due, and how its last slot ended",
        column_config={
            "Schedule": st.column_config.TextColumn(width=180, pinned=True),
            "State": st.column_config.TextColumn(width=100),
            "Next due": st.column_config.TextColumn(width=180),
            "Last slot": st.column_config.TextColumn(width=170),
            "When": st.column_config.TextColumn(width=340),
            "Cause": st.column_config.TextColumn(width=320),
        },
    )
    selected = event["selection"]["rows"]
    return rows[selected[0]] if selected else None


def forget_selection() -> None:
    """Have the next run draw a table in which nothing is selected."""
    st.session_state["schedules-look"] = st.session_state.get("schedules-look", 0) + 1
