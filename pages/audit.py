"""Audit: who did what, from where, on what, why, and what became of it; and whether that can be believed."""

import streamlit as st

from dashboard.components.audit_log import (
    asked_page,
    audit_filters,
    audit_pager,
    audit_table,
    chain_state,
    row_details,
)
from dashboard.guard import reported
from dashboard.session import installation, remember_message
from dashboard.visitor import later
from dashboard.who import actor, may
from services import commands
from services.audit.model import AuditRow
from services.audit.query import AuditQuery, load_page, load_state
from services.audit.verify import look_quickly
from services.installation import Installation


def show() -> None:
    inst = installation()
    st.markdown("# Audit", anchors=False)
    with reported():
        own = commands.visible_audit(inst, AuditQuery(), actor=actor())
        head(inst)
        choices = load_page(inst, own)
        chosen = audit_filters(choices, inst.clock(), everybody=own.actor is None)
        wanted = commands.visible_audit(inst, chosen, actor=actor())
        if own.actor is not None:
            st.caption("You see what you did yourself; an admin sees everything.")
        page = asked_page()
        found = choices if wanted == own and page == 1 else load_page(inst, wanted, page=page)
        picked = audit_table(found, filtered=choices.total > 0)
        audit_pager(page, found)
        if found.rows:
            export(inst, wanted)
        if picked is not None:
            drawer(picked)


def head(inst: Installation) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        with st.container(width="stretch"):
            chain_state(look_quickly(inst), load_state(inst), inst.clock())
        if may("audit.verify") and st.button("Verify now", icon=":material/rule:"):
            verdict = commands.verify_audit(inst, actor=actor())
            if verdict.severity == "ok":
                remember_message("success", f"{verdict.sentence}; {len(verdict.anchors):,} anchors agree.")
            st.rerun()


def export(inst: Installation, wanted: AuditQuery) -> None:
    st.download_button(
        "Export as CSV", later(lambda who: "".join(commands.export_audit(inst, wanted, actor=who))), "audit.csv",
        "text/csv", icon=":material/download:", on_click="ignore", type="tertiary",
    )  # fmt: skip


def close() -> None:
    st.session_state["audit-look"] = st.session_state.get("audit-look", 0) + 1  # a table without selection


def drawer(row: AuditRow) -> None:
    @st.dialog(f"Row {row.number:,}", width=640, position="right", icon=":material/receipt_long:", on_dismiss=close)
    def details() -> None:
        with reported():
            row_details(row)

    details()


show()
