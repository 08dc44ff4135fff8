"""Small tables: recent activity, storages, pre-checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.format import ago, duration, escape, percent, short, size
from dashboard.theme import CHECK_MARKS, RUN_WORDS, run_outcome
from services.catalog.model import Run
from services.overview import StorageRoom
from services.preflight import Check, Preflight


def activity(runs: Sequence[Run], now: datetime) -> None:
    """Draw the newest runs, a line each: what it was, how it ended, when, how long, by whom, and why it failed."""
    if not runs:
        st.markdown("Nothing has been done yet. The first backup starts under “Run backup”.")
        return
    st.markdown("\n".join(f"- {_line(run, now)}" for run in runs))


def _line(run: Run, now: datetime) -> str:
    of = f" of {escape(run.database)}" if run.database else ""
    outcome, mark = run_outcome(run)
    parts = [f"{mark.inline()} **{RUN_WORDS[run.kind]}{of}** :{mark.tone}[{escape(outcome)}]"]
    parts.append(ago(run.finished_at or run.started_at or run.queued_at, now))
    if run.duration is not None:
        parts.append(duration(run.duration))
    parts.append(f"by {escape(run.actor)}")
    remarks = run.error or run.result.get("reason") or run.result.get("name")
    if remarks:
        parts.append(f":gray[{escape(short(str(remarks), 110))}]")
    return " · ".join(parts)


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
        with st.expander(f"{len(fine)} {'check is' if len(fine) == 1 else 'checks are'} fine"):
            for check in fine:
                _check(check)


def _check(check: Check) -> None:
    hint = f"  \n:gray[{escape(check.hint)}]" if check.hint else ""
    st.markdown(f"{CHECK_MARKS[check.severity].inline()} **{escape(check.name)}** · {escape(check.message)}{hint}")
    if check.detail:
        st.code("\n".join(check.detail), language=None, wrap_lines=True, height=min(160, 40 + 20 * len(check.detail)))
