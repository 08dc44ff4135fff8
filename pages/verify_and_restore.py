"""Verify and restore tests: the proof that a backup gives the data back."""

import streamlit as st

from dashboard.components.approval_list import waiting_approvals
from dashboard.components.log_export import restore_test_log_export
from dashboard.components.restore_result import restore_result, verification_result
from dashboard.components.run_watch import watch
from dashboard.components.verify_form import history, verify_form
from dashboard.format import escape
from dashboard.guard import reported
from dashboard.session import installation, last_seen, once
from dashboard.who import actor, offered
from services.catalog.inventory import InventoryQuery, search
from services.catalog.model import Run, Verification
from services.catalog.summaries import recent_checks
from services.commands import submit_verification
from services.installation import Installation

RECENT = 100  # rows in the history


def show() -> None:
    inst = installation()
    st.markdown("# Verify and restore tests", anchors=False)
    with reported():
        running = [run for run in inst.catalog.runs.active() if run.kind in ("verification", "restore_test", "restore")]
        for run in running:
            watch(inst, run)
        asked = st.query_params.get("run")
        if asked and asked not in [run.id for run in running]:
            outcome(inst, inst.catalog.runs.get(asked))
        waiting_approvals(inst, "restore")
        ask(inst)
        st.markdown("## History", anchors=False)
        checks = recent_checks(inst.catalog.engine, limit=RECENT)
        picked = history(checks)
        if checks:
            restore_test_log_export(inst)
        if picked is not None:
            result(inst, inst.catalog.verifications.get(picked.id))


def outcome(inst: Installation, run: Run) -> None:
    watch(inst, run)
    for found in inst.catalog.verifications.list(run_id=run.id, limit=1):
        result(inst, found)


def result(inst: Installation, found: Verification) -> None:
    backup = inst.catalog.backups.get(found.backup_id)
    with st.container(border=True):
        st.markdown(f"## {escape(backup.name)}", anchors=False)
        if found.level == "restore":
            database = next((d for d in inst.settings.databases if d.name == found.database), None)
            restore_result(found, rto=database.rto if database else None)
        else:
            verification_result(found)


def ask(inst: Installation) -> None:
    st.markdown("## Check a backup", anchors=False)
    if not offered("backup.verify"):
        return
    rows, _ = search(inst.catalog.engine, InventoryQuery(state="finished", limit=200))
    chosen = verify_form([row for row in rows if row.storages], st.query_params.get("backup"))
    if chosen is None:
        return
    row, level, clicked = chosen
    newest = next(iter(inst.catalog.runs.list(backup_id=row.id, limit=1)), None)
    key = once(f"check:{row.id}:{level}", last_seen(newest), clicked=clicked)
    if clicked:
        run_id = submit_verification(inst, row.id, level, actor=actor(), idempotency_key=key)
        st.query_params["run"] = run_id
        st.rerun()


show()
