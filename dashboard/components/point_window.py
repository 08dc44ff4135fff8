"""From when to when can be restored: the verdict, its figures, the bar by timeline, and every gap by its name."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from dashboard.charts.recovery_window import LEGEND, recovery_bar
from dashboard.components.figures import figure, four_cells
from dashboard.format import advice, ago, counted, duration, escape, instant, number, size
from dashboard.point_frames import window_frame, window_words
from dashboard.theme import SEVERITY_MARKS, palette
from services.catalog.wal_archives import FaultyFile
from services.pitr.gaps import Gap
from services.pitr.reach import Reach
from services.status import age

NAMED = 5
"""Gaps that are named; the rest are counted."""


def recovery_window(reach: Reach, *, wanted: timedelta, theme: str | None) -> None:
    """Draw what can be restored. ``wanted``: how far back it is to reach."""
    severity, words = reach.verdict
    st.markdown(f"{SEVERITY_MARKS[severity].inline()} **{escape(words)}**")
    st.caption(f"As of {instant(reach.now)}")
    if reach.error:
        st.warning(
            f"{advice(reach.error)} Base backups, settings and history below are shown all the same.",
            icon=":material/cloud_off:",
        )
        return
    _figures(reach, wanted)
    frame = window_frame(reach)
    if not frame.empty:
        since = max(min([w.from_at for w in reach.windows] or [reach.now]), reach.now - 2 * wanted)
        oldest = min([base.stopped_at for base in reach.bases] or [since])
        since = min(since, max(oldest, reach.now - 2 * wanted), reach.now - timedelta(minutes=10))
        chart = recovery_bar(frame, since, reach.now, palette(theme))
        st.altair_chart(chart, alt=window_words(reach), theme=None, key="recovery-window")
        st.caption(LEGEND)
    if reach.gaps:
        _gaps(reach.gaps, open_ended=reach.newest is None or bool(reach.newest.gaps))
    if reach.bad:
        _bad(reach.bad)


def _figures(reach: Reach, wanted: timedelta) -> None:
    cells = four_cells()
    window, sample = reach.newest, reach.sample
    back = window.to_at - window.from_at if window is not None else None
    figure(cells[0], "Reaches back", "–" if back is None else age(back), f":gray[{age(wanted)} is wanted]")
    late = sample.delay if sample is not None else None
    if late is None:
        below = ":gray[no worker has looked yet]"
    elif sample is not None and sample.archived_at is None:
        below = ":gray[nothing is archived yet]"
    elif late > reach.rpo:
        below = f":red[{duration(late)} behind · RPO {age(reach.rpo)}]"
    else:
        below = f":green[within the RPO {age(reach.rpo)}]"
    figure(cells[1], "Newest log", ago(window.to_at, reach.now) if window is not None else "–", below)
    place = f":gray[{counted(reach.segments, 'segment')} in {escape(reach.storage)}]"
    figure(cells[2], "Log stored", size(reach.stored_bytes), place)
    missing = sum(gap.count for gap in reach.gaps)
    words = f":red[{SEVERITY_MARKS['failure'].icon} in {counted(len(reach.gaps), 'gap')}]"
    if reach.bad and not missing:
        words = f":red[{SEVERITY_MARKS['failure'].icon} {counted(len(reach.bad), 'file')} damaged]"
    if not reach.segments:
        figure(cells[3], "Missing segments", "–", ":gray[there are none to look at yet]")
        return
    figure(cells[3], "Missing segments", number(missing), words if missing or reach.bad else ":green[no gap]")


def _gaps(gaps: tuple[Gap, ...], *, open_ended: bool) -> None:
    """Name the gaps. ``open_ended``: no base backup was taken since the last one."""
    lines = []
    for gap in gaps[:NAMED]:
        between = f"between what was stored {instant(gap.before_at)} and {instant(gap.after_at)}"
        lines.append(f"`{gap}` · timeline {gap.timeline}, {between}")
    more = f"  \nand {len(gaps) - NAMED} more: `backups pitr gaps` names all" if len(gaps) > NAMED else ""
    after = "A base backup after it has begun a new window."
    if open_ended:
        after = "Nothing behind it can be restored before there is a new base backup, which the worker takes by itself."
    st.error(
        "  \n".join(lines) + more + f"  \nNothing in a gap can be restored. {after}",
        icon=SEVERITY_MARKS["failure"].icon,
        title=f"{counted(sum(gap.count for gap in gaps), 'segment')} of the log missing",
    )


def _bad(files: tuple[FaultyFile, ...]) -> None:
    """Name the files of the log that cannot be relied on."""
    lines = [escape(one.reason) for one in files[:NAMED]]
    more = f"  \nand {len(files) - NAMED} more: `backups pitr gaps` names all" if len(files) > NAMED else ""
    st.error(
        "  \n".join(lines) + more + "  \nNo window goes over it. A base backup taken now begins a new one; the worker "
        "takes it by itself.",
        icon=SEVERITY_MARKS["failure"].icon,
        title=f"{counted(len(files), 'file')} of the log cannot be relied on",
    )


def switched_off(databases: int, *, sample: bool) -> None:
    """Teach what point in time is and what to set, where no database has it."""
    if not databases:
        st.info(
            "Name a database in the settings first; then it can be given point in time.", icon=":material/database:"
        )
        return
    st.info(
        "It keeps a server's write-ahead log beside base backups, so that any second can be restored, such as the one "
        "before a mistake. A backup alone brings back only the instant at which it was taken.  \n"
        "Set `enabled = true` and a `method` in `[databases.pitr]` (or `PITR_METHOD` in the environment).  \n"
        "Then `backups pitr setup` says what is left to do on the server, statement by statement."
        + ("  \nThe sample environment leaves it off: its past is simulated, and a log cannot be." if sample else ""),
        icon=":material/history:",
        title="No database has point in time on",
    )
