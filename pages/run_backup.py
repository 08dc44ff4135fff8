"""Run backup: see what stands in the way, start one, and watch it to its end."""

import streamlit as st

from dashboard.components.backup_form import backup_form, excluded_preview, exclusions
from dashboard.components.emergency import ask_emergency
from dashboard.components.lists import checks, no_database
from dashboard.components.result import backup_result
from dashboard.components.run_view import made_backup
from dashboard.components.run_watch import watch
from dashboard.format import duration, escape, instant, size
from dashboard.guard import reported, show_error
from dashboard.navigation import page
from dashboard.session import database_choice, fresh_checks, installation, last_seen, left_out, once
from dashboard.who import actor, offered
from services.catalog.model import ENDED_STATES, Run
from services.commands import submit_backup
from services.errors import BackupsError
from services.installation import Installation
from services.preflight import Preflight
from services.settings.model import DatabaseSettings

ON_DEMAND, EMERGENCY = "On demand", "Emergency"


def show() -> None:
    inst = installation()
    st.markdown("# Run backup", anchors=False)
    if not inst.settings.databases:
        no_database()
        return
    with reported():
        database = inst.settings.database(database_choice(inst))
        newest = next(iter(inst.catalog.runs.list(database=database.name, kind="backup", limit=1)), None)
        if newest is not None and newest.is_active:
            st.query_params["run"] = newest.id
            watch(inst, newest)
            return
        asked = st.query_params.get("run")
        run = inst.catalog.runs.get(asked) if asked else None
        if run is not None and run.database == database.name:
            outcome(inst, run)
        else:
            st.query_params.pop("run", None)
            kind = st.radio("Kind", [ON_DEMAND, EMERGENCY], horizontal=True, key="kind", bind="query-params")
            (ask_emergency if kind == EMERGENCY else ask)(inst, database, newest)


def outcome(inst: Installation, run: Run) -> None:
    watch(inst, run)
    if run.state not in ENDED_STATES:
        return
    if run.backup_id is not None and made_backup(run):  # also one that failed its verification, or was cancelled then
        backup_result(inst.catalog.backups.get(run.backup_id))
    if run.kind == "backup":
        st.page_link(
            page("run_backup"), label="Run another backup", icon=":material/backup:",
            query_params={"database": run.database},
        )  # fmt: skip


def expectation(found: Preflight) -> str:
    if not found.database_bytes:
        return ""  # the database could not be asked
    known = found.expected_bytes is not None
    columns = st.columns(3, wrap=False)
    columns[0].metric("Database", size(found.database_bytes))
    columns[1].metric("Expected backup", size(found.expected_bytes) if known else "unknown")
    columns[2].metric("Expected time", duration(found.expected_seconds) if found.expected_seconds else "unknown")
    return "Expected from earlier backups. " if known else "Nothing can be expected before the first backup. "


def ask(inst: Installation, database: DatabaseSettings, newest: Run | None) -> None:
    left, right = st.columns([5, 6], gap="medium")
    with left:
        with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
            st.markdown("## Pre-checks", anchors=False)
            if st.button("Check again", icon=":material/refresh:", type="tertiary"):
                fresh_checks.clear()
        try:
            found = fresh_checks(database.name)
        except BackupsError as error:
            show_error(error)
            found = None
        if found is not None:
            checks(found.preflight)
            basis = expectation(found.preflight)
            st.caption(f"{basis}Checked {instant(found.at)}")
    with right:
        st.markdown("## The backup", anchors=False)
        if not offered("backup.create"):
            return
        excluded = exclusions()
        if excluded:
            excluded_preview(left_out(database.name, excluded.tables, excluded.data))
        blocked = found is None or any(check.severity == "blocking" for check in found.preflight.checks)
        method = found.preflight.method if found is not None else None
        wish = backup_form(inst.settings, database, excluded, method=method, blocked=blocked, now=inst.clock())
        key = once(f"backup:{database.name}", last_seen(newest), clicked=wish is not None)
        if wish is not None:
            run_id = submit_backup(inst, wish, actor=actor(), idempotency_key=key)
            st.query_params["run"] = run_id
            st.rerun()
        if newest is not None and newest.state in ("failed", "lost"):
            st.warning(escape(newest.error), icon=":material/warning:", title="The last backup run failed")
            st.page_link(
                page("run_backup"), label="Open the failed run and its log", icon=":material/terminal:",
                query_params={"database": database.name, "run": newest.id},
            )  # fmt: skip


show()
