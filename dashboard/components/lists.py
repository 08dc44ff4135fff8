"""Small tables: recent activity, storages, pre-checks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pandas as pd
import streamlit as st

from dashboard.format import ago, duration, escape, percent, short, size
from dashboard.theme import CHECK_MARKS, OUTCOME_MARKS, RUN_MARKS, RUN_WORDS
from services.catalog.model import Run
from services.overview import StorageRoom
from services.preflight import Preflight


def activity(runs: Sequence[Run], now: datetime) -> None:
    """Draw the newest runs, each with its end and, where it failed, its reason."""
    if not runs:
        st.caption("Nothing has been done yet. The first backup starts under “Run backup”.")
        return
    rows = [
        {
            "When": ago(run.finished_at or run.started_at or run.queued_at, now),
            "What": f"{_what(run)}",
            "Took": duration(run.duration),
            "Remarks": escape(short(run.error or str(run.result.get("reason") or run.result.get("name") or ""), 110)),
        }
        for run in runs
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True, alt="The newest runs")


def _what(run: Run) -> str:
    of = f" of {escape(run.database)}" if run.database else ""
    outcome = run.result.get("outcome")  # a check that ran to its end may still have failed the backup
    tone = OUTCOME_MARKS[outcome] if outcome in OUTCOME_MARKS else RUN_MARKS[run.state]
    return f"{tone.inline()} {RUN_WORDS[run.kind]}{of}: :{tone.tone}[{outcome or run.state}] · by {escape(run.actor)}"


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
    """Draw the pre-checks, the blocking ones first."""
    order = {"blocking": 0, "warning": 1, "ok": 2}
    for check in sorted(found.checks, key=lambda check: order[check.severity]):
        mark = CHECK_MARKS[check.severity]
        hint = f"  \n:gray[{escape(check.hint)}]" if check.hint and check.severity != "ok" else ""
        st.markdown(f"{mark.inline()} **{escape(check.name)}** · {escape(check.message)}{hint}")
        if check.detail:
            with st.expander(f"{len(check.detail)} details"):
                st.code("\n".join(check.detail), language=None, wrap_lines=True)
