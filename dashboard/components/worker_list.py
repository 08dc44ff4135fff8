"""The workers: which machine, in which version, serving what, since when, and when last heard."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.format import ago, day, escape
from dashboard.theme import SEVERITY_MARKS
from services.catalog.workers import SILENT_AFTER, Worker
from services.settings.model import DEFAULT_QUEUE
from services.status import age


def worker_list(workers: Sequence[Worker], version: str, now: datetime) -> None:
    """Draw the workers that were heard and have not taken their leave; ``version`` is this dashboard's."""
    if not workers:
        st.caption("None runs. `backups serve` starts one beside the dashboard, `backups worker` one on any machine.")
        return
    for worker in workers:
        st.markdown(_line(worker, now))
    st.caption(f"A worker is heard every 5 s, and silent from {age(SILENT_AFTER)} on · this dashboard: {version}")
    others = sorted({worker.version for worker in workers if worker.is_alive(now)} - {version})
    if others:
        st.warning(
            escape(
                f"Workers of version {', '.join(others)} run beside this dashboard of version {version}, which is "
                "meant for the minutes of an upgrade. Start all of them in the same version."
            ),
            icon=":material/difference:",
            title="Several versions at once",
        )


def _line(worker: Worker, now: datetime) -> str:
    mark = SEVERITY_MARKS["ok"].inline("alive") if worker.is_alive(now) else SEVERITY_MARKS["failure"].inline("silent")
    process = worker.id.rsplit(":", 2)[1:2]
    serves = "" if worker.serves == (DEFAULT_QUEUE,) else f" · serves {', '.join(worker.serves)}"
    said = (
        f"process {process[0] if process else '?'} · version {worker.version}{serves} · "
        f"last heard {ago(worker.heartbeat_at, now)} · since {day(worker.started_at)}"
    )
    return f"{mark} **{escape(worker.host)}** · {escape(said)}"
