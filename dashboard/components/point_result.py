"""What a restore to a point in time reached and showed, and the list of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pandas as pd
import streamlit as st

from dashboard.components.figures import figure, four_cells
from dashboard.components.inventory_table import TIME_WIDTH
from dashboard.fitted import fitted
from dashboard.format import counted, duration, escape, number, percent, rate, size
from dashboard.frames import in_words
from dashboard.point_frames import point_frame
from dashboard.theme import OUTCOME_MARKS
from services.pitr.point_history import PointRestore
from services.printable import visible
from services.status import age


def point_result(found: PointRestore, *, rto: timedelta) -> None:
    """Draw what a restore reached, its times against the RTO, and what was in each database."""
    report = found.report
    if report is None:
        reason = str(found.run.result.get("reason", ""))
        if reason:
            st.markdown(f"{OUTCOME_MARKS['failed'].badge('failed')} {escape(reason)}")
        return
    last = f" · its last transaction ended **{escape(report.last_commit_at)}**" if report.last_commit_at else ""
    st.markdown(f"Reached **{escape(report.target)}** at `{report.reached_lsn}`{last}")
    cells = four_cells()
    figure(
        cells[0], "Fetch and check", duration(report.fetch_seconds),
        f":gray[{size(report.base_bytes)}, {number(report.files)} files]",
    )  # fmt: skip
    replayed = rate(report.wal_bytes, report.recovery_seconds)
    figure(
        cells[1], "Replay the log", duration(report.recovery_seconds),
        f":gray[{counted(report.segments, 'segment')}, {replayed}]",
    )  # fmt: skip
    kept = report.recovery_time <= rto.total_seconds()
    share = f"{percent(report.recovery_time, rto.total_seconds())} of the RTO {age(rto)}"
    figure(
        cells[2], "Measured RTO", duration(report.recovery_time),
        f":{'green' if kept else 'red'}[{'within: ' if kept else 'breached: '}{share}]",
    )  # fmt: skip
    rows = sum(one.rows or 0 for one in report.databases)
    figure(cells[3], "Rows counted", number(rows), f":gray[in {counted(len(report.databases), 'database')}]")
    frame = pd.DataFrame(
        [(one.name, one.tables, one.rows, one.bytes, visible(one.problem)) for one in report.databases],
        columns=["Database", "Tables", "Rows", "Size", "Not looked into"],
    ).astype({"Rows": "Int64"})
    if not frame["Not looked into"].any():
        frame = frame.drop(columns="Not looked into")
    st.dataframe(
        in_words(frame, sizes=["Size"]), hide_index=True, key=f"found-{found.run.id}",
        alt="What was in each database of the restored server",
        column_config=fitted(frame, {"Rows": st.column_config.NumberColumn(format="localized")}),
    )  # fmt: skip
    looked = f", pg_verifybackup {report.pg_verifybackup}" if report.pg_verifybackup else ""
    st.caption(
        f"From {escape(report.base_name)} on PostgreSQL {escape(report.server_version)}; every file compared by its "
        f"sha256{escape(looked)}. "
        + (f"It lies in {escape(report.into)}." if report.into else "Nothing of it was left on this machine.")
    )


def point_history(restores: Sequence[PointRestore]) -> PointRestore | None:
    """Draw the newest restores to a point; return the one whose row is selected."""
    if not restores:
        st.info(
            "A log that was never replayed is only a hope. Each restore to a point is kept here, with what it reached.",
            icon=":material/history:",
            title="No restore to a point yet",
        )
        return None
    st.caption(f"The newest {counted(len(restores), 'restore')}. Select a row for what was in it.")
    frame = point_frame(restores)
    event = st.dataframe(
        in_words(frame, durations=["Measured RTO"]),
        hide_index=True,
        key="point-history",
        on_select="rerun",
        selection_mode="single-row",
        height=min(420, 38 + 35 * len(restores)),
        placeholder="–",
        alt=f"The newest {len(restores)} restores to a point in time",
        column_config=fitted(
            frame,
            {
                "id": None,
                "Asked (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", width=TIME_WIDTH),
                "Rows": st.column_config.NumberColumn(format="localized"),
            },
        ),
    )
    rows = event["selection"]["rows"]
    return restores[rows[0]] if rows else None
