"""The inventory's filters, bound to the URL, and its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar, get_args

import streamlit as st

from dashboard.components.badges import badge_column
from dashboard.fitted import fitted
from dashboard.format import counted
from dashboard.frames import in_words, inventory_frame
from dashboard.navigation import page
from services.catalog.inventory import InventoryQuery, InventoryRow, Proof
from services.catalog.model import BackupState, BackupType
from services.retention.planner import Decision
from services.retention.plans import PlannedBackup
from services.retention.policy import TIERS

T = TypeVar("T", bound=str)

_PERIODS = {"7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365}
_STATES: tuple[BackupState, ...] = get_args(BackupState)
_PROOFS: tuple[Proof, ...] = get_args(Proof)
_TYPES: tuple[BackupType, ...] = get_args(BackupType)
KEPT_BY = (*TIERS, "pinned", "minimum", "proven", "recent on-demand", "another reason", "goes next", "deletion failed")
_CHOICES = ("kept", "within")
_FILTERS = ("q", "db", "state", "proof", "type", *_CHOICES)
PAGE = 100
"""Rows of one page."""
TIME_WIDTH, STATE_WIDTH, NAME_WIDTH = 138, 118, 270  # pixels: to the second; “⚠ good · unsigned”; 36 characters


def filters(databases: Sequence[str], now: datetime, planned: Mapping[str, PlannedBackup]) -> InventoryQuery:
    """Draw the filters in one row. Each is bound to the URL, so that the view can be sent to a colleague.

    ``planned``: by id, the backups that have not expired.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Search", key="q", bind="query-params", placeholder="name, note, person", width=170,
            icon=":material/search:",
        )  # fmt: skip
        database = _choice("Database", databases, "db")
        state = _choice("State", _STATES, "state")
        proof = _choice("Proof", _PROOFS, "proof")
        kind = _choice("Type", _TYPES, "type")
        kept_by = _choice("Kept by", KEPT_BY, "kept")
        period = _choice("Taken within", list(_PERIODS), "within")
    since = now - timedelta(days=_PERIODS[period]) if period else None
    wanted = InventoryQuery(database, kind, state, proof, since, text or "")
    if kept_by == "deletion failed":
        wanted = replace(wanted, deletion_failed=True)
    elif kept_by is not None:
        ids = tuple(backup.id for backup in planned.values() if _is_kept_by(kept_by, backup.decision))
        if 2 * len(ids) <= len(planned):
            wanted = replace(wanted, ids=ids)
        else:
            wanted = replace(wanted, unexpired_but=tuple(planned.keys() - set(ids)), databases=tuple(databases))
    return replace(wanted, limit=PAGE, offset=_offset(wanted))


def _is_kept_by(chosen: str, decision: Decision) -> bool:
    if chosen == "goes next":
        return not decision.keep
    if chosen == "another reason":
        return decision.keep and not set(decision.reasons) & set(KEPT_BY)
    return chosen in decision.reasons


def _offset(wanted: InventoryQuery) -> int:
    """Return the first row of the page that the URL asks for; other filters begin with the first page again."""
    # What was chosen, not what follows from it: that may differ from run to run.
    chosen = (
        replace(wanted, since=None, ids=None, unexpired_but=None),
        [st.session_state.get(key) for key in _CHOICES],
    )
    if st.session_state.get("inventory-filters", chosen) != chosen:
        st.query_params.pop("from", None)
    st.session_state["inventory-filters"] = chosen
    asked = st.query_params.get("from", "0")
    return int(asked) // PAGE * PAGE if asked.isascii() and asked.isdigit() and len(asked) < 9 else 0


def pager(wanted: InventoryQuery, shown: int, total: int) -> None:
    """Draw the way to the newer and the older page, where there is one."""
    if total <= PAGE:
        return
    first = wanted.offset
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, icon, to, there in (
            ("Newer", ":material/chevron_left:", first - PAGE, first > 0),
            ("Older", ":material/chevron_right:", first + PAGE, first + shown < total),
        ):
            if st.button(f"{label} backups", icon=icon, key=f"page-{label}", disabled=not there):
                st.query_params["from"] = str(max(0, to))
                st.rerun()
        st.caption(f"Rows {first + 1:,} to {first + shown:,} of {total:,}")


def nothing_found(wanted: InventoryQuery) -> None:
    """Say why the table is empty, and lead on: to all backups where filters hide them, otherwise to the first one."""
    if replace(wanted, limit=0, offset=0) == InventoryQuery(limit=0):
        st.info(
            "Take the first one: it appears here as soon as it is stored, with all that is known of it.",
            icon=":material/inventory_2:",
            title="No backup was made yet",
        )
        st.page_link(page("run_backup"), label="Run the first backup", icon=":material/backup:")
        return
    st.info("Choose fewer filters, or another word to search for.", icon=":material/filter_alt:",
            title="No backup fits these filters")  # fmt: skip
    st.button("Clear the filters", icon=":material/filter_alt_off:", on_click=_clear)


def _clear() -> None:
    for key in _FILTERS:
        st.session_state[key] = "" if key == "q" else None


def inventory_table(
    backups: Sequence[InventoryRow],
    planned: Mapping[str, PlannedBackup],
    *,
    total: int,
    wanted_copies: Mapping[str, int],
) -> InventoryRow | None:
    """Draw the table, if there is anything in it; return the backup whose row is selected.

    ``planned``: by id, those that have not expired. ``wanted_copies``: by database, how many there are to be.
    """
    if not backups:
        return None
    which = ", expired ones included" if any(row.state == "expired" for row in backups) else ""
    st.caption(f"{counted(total, 'backup')}{which}, newest first. Select a row for all that is known of it.")
    decisions = {row.id: planned[row.id].decision for row in backups if row.id in planned}
    frame = inventory_frame(backups, decisions, wanted_copies=wanted_copies)
    event = st.dataframe(
        in_words(frame, sizes=["Size"], durations=["Took"]),
        hide_index=True,
        key=f"inventory-{st.session_state.get('inventory-look', 0)}",
        on_select="rerun",
        selection_mode="single-row",
        height=min(640, 38 + 35 * len(backups)),
        alt=f"{len(backups)} backups",
        column_config=fitted(
            frame,
            {
                "id": None,
                "Taken (UTC)": st.column_config.DatetimeColumn(
                    format="YYYY-MM-DD HH:mm:ss", pinned=True, width=TIME_WIDTH
                ),
                "State": st.column_config.TextColumn(width=STATE_WIDTH),
                "Name": st.column_config.TextColumn(width=NAME_WIDTH),
                "Kept by": badge_column("Kept by"),
            },
        ),
    )
    rows = event["selection"]["rows"]
    return backups[rows[0]] if rows else None


def _choice(label: str, options: Sequence[T], key: str) -> T | None:
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="all", width=121)
