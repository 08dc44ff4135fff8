"""The log of deletions: filters, table, and its export."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

import streamlit as st

from dashboard.fitted import fitted
from dashboard.format import number
from dashboard.frames import in_words
from dashboard.retention_frames import as_csv, deletions_frame
from dashboard.visitor import exported
from services.catalog.deletions import Deletion, DeletionOutcome

SHOWN = 300


def log_filters(databases: Sequence[str]) -> tuple[str | None, DeletionOutcome | None]:
    """Draw the filters, bound to the URL; return the database and the outcome, None for all."""
    with st.container(horizontal=True):
        database = st.selectbox(
            "Database", databases, index=None, key="of", bind="query-params", placeholder="all", width=240
        )
        outcome = st.selectbox(
            "Outcome", get_args(DeletionOutcome), index=None, key="outcome", bind="query-params", placeholder="all",
            width=160,
        )  # fmt: skip
    return database, outcome


def deletion_log(log: Sequence[Deletion], total: int, everything: Callable[[], Sequence[Deletion]]) -> None:
    """Draw the newest attempts to delete a copy; ``everything`` fetches all of them for the export, when asked for."""
    if not log:
        st.info(
            "Nothing was deleted yet. A cleanup writes here what it deletes: who, when, what, from where and why.",
            icon=":material/history:",
        )
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        shown = f"The newest {number(len(log))} of {number(total)}" if total > len(log) else number(total)
        st.caption(f"{shown} deletion{'' if total == 1 else 's'} of copies, the newest first.")
        st.download_button(
            "Export as CSV", exported("deletions.csv", lambda: as_csv(deletions_frame(everything()))),
            "deletions.csv", "text/csv", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    frame = deletions_frame(log)
    st.dataframe(
        in_words(frame, sizes=["Size"]),
        hide_index=True,
        key="deletions",
        height="content" if len(log) <= 12 else 520,
        alt=f"The newest {len(log)} deletions",
        column_config=fitted(
            frame, {"Deleted (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", pinned=True)}
        ),
    )
