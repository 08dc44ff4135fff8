"""The service level: its verdict, its numbers with their thresholds, the days, the databases, the misses."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.charts.slot_days import LEGEND, days_words, slot_calendar, slot_strips
from dashboard.components.schedules_table import table_height
from dashboard.fitted import fitted
from dashboard.format import NOTHING, duration, escape, instant, number
from dashboard.slot_frames import calendar_frame, days_frame, gap, misses_frame, slo_frame
from dashboard.theme import SEVERITY_MARKS, Mark, palette
from services.schedules.outcomes import SlotOutcome
from services.slo import WINDOWS, DatabaseSlo, Slo, Tally
from services.status import age
from services.units import format_share

_SHORT = 31
"""Days of which each can be seen in a strip."""


def window_and_database(databases: Sequence[str]) -> tuple[int, str | None]:
    """Draw the choice of the window and of the database, both bound to the URL; None: all databases."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        days = st.radio("Days back", [str(days) for days in WINDOWS], horizontal=True, key="days", bind="query-params")
        database = None
        if len(databases) > 1:
            database = st.selectbox(
                "Database", databases, index=None, key="db", bind="query-params", placeholder="all", width=240
            )
    return int(str(days)), database


def verdict(slo: Slo) -> None:
    """Draw the sentence that answers whether the target is kept."""
    tally = slo.total
    if not tally.slots:
        words = f"{tally.open} slots are open." if tally.open else "No slot was due in this window."
        st.markdown(f"# {_mark(None).inline()} No slot has passed its deadline yet", anchors=False)
        st.markdown(f"{words} A slot counts once its deadline has passed.")
        return
    slots = "slot was" if tally.slots == 1 else "slots were"
    st.markdown(
        f"# {_mark(tally.is_kept).inline()} {number(tally.satisfied)} of {number(tally.slots)} {slots} satisfied "
        "within the deadline",
        anchors=False,
    )
    st.caption(f"The last {slo.days} days, up to {instant(slo.now)}.")


def numbers(slo: Slo) -> None:
    """Draw the four numbers, each against its threshold."""
    tally = slo.total
    columns = [cell for half in st.columns(2) for cell in half.columns(2, wrap=False)]
    with columns[0]:
        tone = {True: "green", False: "red", None: "gray"}[tally.is_kept]
        _number("Slots satisfied", format_share(tally.satisfied, tally.slots), f"target {tally.target:g} %", tone)
    with columns[1]:
        _number("Misses", number(tally.missed), *_budget(tally))
    with columns[2]:
        worst = max((d for d in slo.databases if d.rpo_achieved), key=_rpo_share, default=None)
        kept = worst.rpo_kept if worst else None
        _number(
            "Longest without a good backup",
            gap(worst.rpo_achieved) if worst and worst.rpo_achieved else NOTHING,
            f"RPO {age(worst.rpo)}{_of(worst, slo)}" if worst else "no good backup",
            {True: "green", False: "red", None: "gray"}[kept],
        )
    with columns[3]:
        slow = max((d for d in slo.databases if d.restores), key=_rto_share, default=None)
        _number(
            "Slowest restore test",
            duration(slow.restores.slowest_seconds) if slow and slow.restores else NOTHING,
            f"RTO {age(slow.rto)}{_of(slow, slo)}" if slow else "none has passed in this window",
            {True: "green", False: "red", None: "gray"}[slow.rto_kept if slow else None],
        )


def by_day(slo: Slo, *, theme: str | None) -> None:
    """Draw each day of the window: a strip for each database, or a calendar of all when the window is long."""
    st.markdown("## By day", anchors=False)
    colours = palette(theme)
    chart = slot_strips(days_frame(slo), colours) if slo.days <= _SHORT else slot_calendar(calendar_frame(slo), colours)
    st.altair_chart(chart, theme=None, key=f"days-{slo.days}", alt=f"Slots by UTC day. {days_words(slo)}"[:2000])
    together = "" if slo.days <= _SHORT or len(slo.databases) == 1 else " · all databases together, the worst shows"
    st.markdown(f":small[{LEGEND}{together}]")


def databases_table(slo: Slo) -> None:
    """Draw each database's numbers, those that break their target first."""
    st.markdown("## Databases", anchors=False)
    frame = slo_frame(slo)
    st.dataframe(
        frame,
        hide_index=True,
        height=table_height(len(slo.databases)),
        alt=f"{len(slo.databases)} databases: slots, misses, RPO and RTO against their limits",
        column_config=fitted(
            frame,
            {
                "Database": st.column_config.TextColumn(width=170, pinned=True),
                "Misses left": st.column_config.TextColumn(help="Of those that the target allows."),
            },
        ),
    )


def misses_table(misses: Sequence[SlotOutcome]) -> SlotOutcome | None:
    """Draw the misses with their cause, the newest first; return the one whose row is selected."""
    st.markdown("## Misses", anchors=False)
    if not misses:
        st.markdown(SEVERITY_MARKS["ok"].inline("No slot of this window was late or missed."))
        return None
    several = len({miss.slot.database for miss in misses}) > 1
    st.caption("The newest first. Select a row for its run or its backup.")
    frame = misses_frame(misses)
    event = st.dataframe(
        frame,
        hide_index=True,
        key="misses",
        on_select="rerun",
        selection_mode="single-row",
        height=table_height(len(misses)),
        alt=f"{len(misses)} late or missed slots, with their cause",
        column_config=fitted(
            frame,
            {
                "Due (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
                "Database": st.column_config.TextColumn(width=130) if several else None,
                "State": st.column_config.TextColumn(width=90),
            },
        ),
    )
    selected = event["selection"]["rows"]
    return misses[selected[0]] if selected else None


def _mark(kept: bool | None) -> Mark:
    return SEVERITY_MARKS[{True: "ok", False: "failure", None: "unknown"}[kept]]  # type: ignore[index]


def _budget(tally: Tally) -> tuple[str, str]:
    if not tally.slots:
        return "nothing counts yet", "gray"
    words = f"{tally.missed} of {tally.allowed} allowed"
    return (words, "green") if tally.left >= 0 else (f"{words} · {-tally.left} too many", "red")


def _of(database: DatabaseSlo, slo: Slo) -> str:
    return f" · {escape(database.database)}" if len(slo.databases) > 1 else ""


def _rpo_share(database: DatabaseSlo) -> float:
    assert database.rpo_achieved is not None
    return database.rpo_achieved / database.rpo


def _rto_share(database: DatabaseSlo) -> float:
    assert database.restores is not None
    return database.restores.slowest_seconds / database.rto.total_seconds()


def _number(label: str, value: str, threshold: str, tone: str) -> None:
    st.metric(label, value, delta=threshold, delta_arrow="off", delta_color=tone)  # type: ignore[arg-type]
