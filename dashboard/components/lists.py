"""Small tables: recent activity, storages, pre-checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.format import ago, duration, escape, percent, short, size
from dashboard.navigation import page
from dashboard.theme import CHECK_MARKS, run_outcome
from services.catalog.model import RUN_WORDS, Run
from services.overview import StorageRoom
from services.preflight import Check, Preflight
from services.printable import visible_lines

POINT_KINDS = ("base_backup", "point_test", "point_restore")
"""Kinds of runs that the page *Point in time* shows."""


def activity(runs: Sequence[Run], now: datetime) -> None:
    """Draw the newest runs, a line each: what it was, how it ended, when, how long, by whom, and why it failed."""
    if not runs:
        st.markdown("Nothing has been done yet. Start the first backup under “Run backup”.")
        return
    with st.container(gap="xsmall"):  # a bullet beside each icon would be a second mark for nothing
        for run in runs:
            if run.kind not in POINT_KINDS:
                st.markdown(_line(run, now))
                continue
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(_line(run, now), width="content")
                point_link(run)


def point_link(run: Run, label: str = "Open") -> None:
    """Draw the way to a run of point in time, where it is watched and its result is shown."""
    st.page_link(
        page("point_in_time"), label=label, icon=":material/history:",
        query_params={"database": run.database or "", "run": run.id},
    )  # fmt: skip


def _line(run: Run, now: datetime) -> str:
    of = f" of {escape(run.database)}" if run.database else ""
    outcome, mark = run_outcome(run)
    parts = [f"{mark.inline()} **{RUN_WORDS[run.kind]}{of}** :{mark.tone}[{escape(outcome)}]"]
    parts.append(ago(run.finished_at or run.started_at or run.queued_at, now))
    if run.duration is not None:
        parts.append(duration(run.duration))
    parts.append(f"by {escape(run.actor)}")
    remarks = run.error or _gave(run)
    if remarks:
        parts.append(f":gray[{escape(short(remarks, 110))}]")
    return " · ".join(parts)


def _gave(run: Run) -> str:
    """Return in a few words what came of a run."""
    if run.kind == "copy" and "storage" in run.result:
        return f"in {run.result['storage']}"  # its location would fill two lines
    return str(run.result.get("reason") or run.result.get("name") or "")


def storages(rooms: Sequence[StorageRoom]) -> None:
    """Draw what each storage holds against what fits."""
    for room in rooms:
        total = room.total_bytes
        held = f"{size(room.used_bytes)} in {room.backups} {'copy' if room.backups == 1 else 'copies'}"
        st.markdown(f"**{escape(room.name)}** :gray[{escape(room.url)}]")
        if total:
            bound = "limit" if total == room.limit_bytes else "disk"
            left = f"{size(max(0, total - room.used_bytes))} free"
            text = f"{held} · {percent(room.used_bytes, total)} of {size(total)} ({bound}) · {left}"
            st.progress(min(1.0, room.used_bytes / total), text=text)
        else:
            st.caption(f"{held} · no limit is set")
        if room.problem:
            st.warning(escape(room.problem), icon=":material/warning:")


def no_database() -> None:
    """Say what to set where there is nothing to protect."""
    st.info(
        "Set DATABASE\\_URL, or name databases in the file of BACKUPS\\_CONFIG; `backups doctor` checks it all.",
        icon=":material/database:",
        title="No database is configured",
    )


def checks(found: Preflight) -> None:
    """Draw the pre-checks: a verdict, what blocks, what warns, and the rest folded away."""
    problems = [c for c in found.checks if c.severity != "ok"]
    blocking = [c for c in problems if c.severity == "blocking"]
    fine = [c for c in found.checks if c.severity == "ok"]
    if blocking:
        st.markdown(CHECK_MARKS["blocking"].inline("**This backup is blocked.**"))
    elif problems:
        st.markdown(CHECK_MARKS["warning"].inline("**A backup can run; look at the warnings.**"))
    else:
        st.markdown(CHECK_MARKS["ok"].inline("**Nothing stands in the way.**"))
    for check in sorted(problems, key=lambda check: check.severity != "blocking"):
        _check(check)
    if fine:
        with st.expander(f"{len(fine)} {'check' if len(fine) == 1 else 'checks'} passed"):
            for check in fine:
                _check(check)


def _check(check: Check) -> None:
    hint = f"  \n:gray[{escape(check.hint)}]" if check.hint else ""
    st.markdown(f"{CHECK_MARKS[check.severity].inline()} **{escape(check.name)}** · {escape(check.message)}{hint}")
    if check.detail:
        detail = visible_lines("\n".join(check.detail))
        st.code(detail, language=None, wrap_lines=True, height=min(160, 40 + 20 * len(check.detail)))
