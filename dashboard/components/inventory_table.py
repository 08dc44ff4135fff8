"""The inventory's filters, bound to the URL, and its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import streamlit as st

from dashboard.frames import inventory_frame
from services.catalog.inventory import InventoryQuery, InventoryRow

_PERIODS = {"7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365}


def filters(databases: Sequence[str], now: datetime) -> InventoryQuery:
    """Draw the filters in one row. Each is bound to the URL, so that the view can be sent to a colleague."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", key="q", bind="query-params", placeholder="name, note or person", width=200,
            icon=":material/search:",
        )  # fmt: skip
        database = _choice("Database", databases, "db")
        state = _choice("State", ["finished", "deleting", "expired"], "state")
        proof = _choice("Proof", ["proven", "not proven", "failed"], "proof")
        kind = _choice("Type", ["scheduled", "on-demand", "emergency", "base"], "type")
        period = _choice("Taken within", list(_PERIODS), "within")
    since = now - timedelta(days=_PERIODS[period]) if period else None
    return InventoryQuery(database, kind, state, proof, since, text or "")  # type: ignore[arg-type]


def inventory_table(backups: Sequence[InventoryRow], *, total: int) -> InventoryRow | None:
    """Draw the table; return the backup whose row is selected."""
    if not backups:
        st.info("No backup fits these filters. Loosen them, or take the first one under “Run backup”.")
        return None
    shown = (
        f"The newest {len(backups)} of {total} backups" if total > len(backups) else f"{total} backups, newest first"
    )
    st.caption(f"{shown}. Select a row for all that is known of it.")
    event = st.dataframe(
        inventory_frame(backups),
        hide_index=True,
        key=f"inventory-{st.session_state.get('inventory-look', 0)}",
        on_select="rerun",
        selection_mode="single-row",
        height=min(640, 38 + 35 * len(backups)),
        alt=f"{len(backups)} backups",
        column_config={
            "id": None,
            "Name": st.column_config.TextColumn(width="medium", pinned=True),
            "Taken (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
            "Size": st.column_config.NumberColumn(format="bytes"),
            "Took": st.column_config.NumberColumn(format="%.1f s"),
        },
    )
    rows = event["selection"]["rows"]
    return backups[rows[0]] if rows else None


def _choice(label: str, options: Sequence[str], key: str) -> str | None:
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="all", width=140)
