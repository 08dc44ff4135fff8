"""The form of a restore test to a point in time: what it may reach is what the recovery window holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboard.format import duration, escape, instant, size
from services.errors import BackupsError
from services.pitr.base_model import BaseBackup
from services.pitr.reach import Reach
from services.pitr.target import RecoveryTarget
from services.pitr.window import Window, check_target

SECOND = timedelta(seconds=1)
BEFORE_THE_END = timedelta(minutes=2)
"""How far before the end of the window the form begins: what the last seconds hold, only recovery can tell."""


@dataclass(frozen=True)
class PointAsked:
    """What the form says now."""

    target: RecoveryTarget | None
    """None: what is chosen cannot be reached; the form says why."""
    clicked: bool


def point_form(reach: Reach, *, expected_seconds: float | None) -> PointAsked:
    """Draw the form. Call it only where there is a window."""
    with st.container(border=True):
        window = _window(reach)
        left, right = st.columns([2, 3], gap="medium")
        with left:
            which = st.radio(
                "Restore to", ["A time", "The newest that is archived"], horizontal=True, key="point-which"
            )
        target = RecoveryTarget("latest", timeline=window.timeline)
        if which == "A time":
            with right:
                target_at = _time(window)
            target, refused = _checked(window, target_at, reach.now)
            if refused is not None:
                st.warning(f"{escape(refused.message)} {escape(refused.hint)}", icon=":material/block:")
                return PointAsked(None, False)
        assert target is not None
        st.caption(_plan(reach, window, target, expected_seconds))
        clicked = st.button("Run the restore test", type="primary", icon=":material/history:", key="point-go")
    st.markdown(  # a caption fades the commands in it too much to be read
        "A position, a transaction or a named restore point: `backups pitr restore-test --to …`. "
        "For real, into a folder: `backups pitr restore`."
    )
    return PointAsked(target, clicked)


def _window(reach: Reach) -> Window:
    windows = sorted(reach.windows, key=lambda window: (window.to_at, window.timeline), reverse=True)
    if len(windows) == 1:
        return windows[0]
    chosen = st.selectbox("Window", windows, key="point-window", format_func=_span)
    assert chosen is not None
    return chosen


def _span(window: Window) -> str:
    return f"timeline {window.timeline} · {instant(window.from_at)} to {instant(window.to_at)}"


def _time(window: Window) -> datetime | None:
    """Draw the choice of a day of the window and a second of it. What lies outside is refused by ``_checked``."""
    first, last = window.from_at.astimezone(UTC), window.to_at.astimezone(UTC)
    start = max(first + SECOND, last - BEFORE_THE_END).replace(microsecond=0)
    key = f"{window.timeline}-{window.from_lsn}"
    left, right = st.columns(2, wrap=False)
    day = left.date_input(
        "Day (UTC)", start.date(), first.date(), last.date(), format="YYYY-MM-DD", key=f"point-day-{key}"
    )
    second = right.time_input("Time (UTC)", start.time(), step=SECOND, key=f"point-time-{key}")
    st.caption(f"From {instant(first)} to {instant(last)}")
    return None if day is None or second is None else datetime.combine(day, second, UTC)


def _checked(window: Window, at: datetime | None, now: datetime) -> tuple[RecoveryTarget | None, BackupsError | None]:
    """Return the target of a time, or why it cannot be reached."""
    if at is None:
        return None, BackupsError("Choose a time.")
    try:
        check_target([window], at=at, now=now)
    except BackupsError as error:
        return None, error
    return RecoveryTarget("time", at=at, timeline=window.timeline), None


def _plan(reach: Reach, window: Window, target: RecoveryTarget, expected: float | None) -> str:
    """Say what a test is going to do."""
    base = _base(reach, window, target)
    begins = (
        f"Begins with the base backup of {instant(base.stopped_at)} ({size(base.backup.plain_bytes)}), "
        if base is not None
        else "Begins with a base backup, "
    )
    took = f" The last ones took about {duration(expected)}." if expected else ""
    return (
        f"{begins}replays the log in a scratch server of the same version, counts the rows of every table, and "
        f"removes it all again.{took}"
    )


def _base(reach: Reach, window: Window, target: RecoveryTarget) -> BaseBackup | None:
    """Return the newest base backup before the point, on this timeline or one that leads to it."""
    fitting = [
        base
        for base in reach.bases
        if base.timeline <= window.timeline
        and window.from_lsn <= base.stop_lsn <= window.to_lsn
        and (target.at is None or base.stopped_at <= target.at)
    ]
    return max(fitting, key=lambda base: base.stopped_at, default=None)
