"""Retention: what each policy keeps and why, what goes next, what another policy would do, and what was deleted."""

import streamlit as st

from dashboard.components.approval_list import waiting_approvals
from dashboard.components.deletion_log import SHOWN, deletion_log, log_filters
from dashboard.components.retention_plan import (
    all_plans,
    cleanup_result,
    confirmation,
    going_table,
    nothing_goes,
    plan_numbers,
)
from dashboard.components.retention_simulator import (
    HORIZONS,
    fate,
    fate_table,
    horizon_choice,
    numbers,
    outlook,
)
from dashboard.components.run_watch import watch
from dashboard.guard import reported
from dashboard.session import database_choice, installation, last_seen, once
from dashboard.who import actor, may, offered
from services.catalog.model import Run
from services.commands import submit_cleanup
from services.installation import Installation
from services.retention.current import CurrentPlans, current_plans
from services.retention.early import early_deletion_note
from services.retention.plans import DatabasePlan

VIEWS = ("Plan", "Simulator", "Deletion log")


def show() -> None:
    inst = installation()
    st.markdown("# Retention", anchors=False)
    if not inst.settings.databases:
        st.info("Name a database in the settings first.", icon=":material/database:")
        return
    with reported():
        # Before the plans: of a run that ends meanwhile the page may show old plans only while it shows it running.
        newest = next(iter(inst.catalog.runs.list(kind="cleanup", limit=1)), None)
        plans = current_plans(inst)
        # No segmented control: in the dark its chosen word has too little contrast.
        waiting_approvals(inst, "delete")
        view = st.radio("View", VIEWS, horizontal=True, key="view", bind="query-params", label_visibility="collapsed")
        if view == "Deletion log":
            log(inst)
            return
        if view == "Plan" and len(plans.plans) > 1:
            all_plans(plans.plans)
        database = database_choice(inst)
        if view == "Simulator":
            simulate(plans, database)
        else:
            plan(inst, plans.of(database), newest)


def plan(inst: Installation, found: DatabasePlan, newest: Run | None) -> None:
    asked = st.query_params.get("run")
    if newest is not None and (newest.is_active or newest.id == asked):
        watch(inst, newest)
        cleanup_result(newest)
    plan_numbers(found)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown("## What goes at the next cleanup", anchors=False)
        clicked = found.going and may("retention.apply") and st.button(
            "Clean up now …", icon=":material/delete_sweep:", key="clean-up",
            disabled=newest is not None and newest.is_active,
        )  # fmt: skip
    if not found.going:
        nothing_goes(found)
        return
    offered("retention.apply")
    going_table(found.going, key="going")
    key = once(f"cleanup:{found.database}", last_seen(newest), clicked=bool(clicked))
    if clicked:
        st.session_state["cleanup-key"] = key
        confirm(inst, found)


def confirm(inst: Installation, found: DatabasePlan) -> None:
    @st.dialog("Delete backups", width="large", icon=":material/delete_sweep:")
    def dialog() -> None:
        with reported():
            ids, sure = confirmation(found, early_deletion_note(inst, [b.id for b in found.going]))
            if sure:
                key = st.session_state["cleanup-key"]
                run_id = submit_cleanup(
                    inst, database=found.database, apply=True, only=ids, actor=actor(), idempotency_key=key
                )
                st.query_params["run"] = run_id
                st.rerun()

    dialog()


def simulate(plans: CurrentPlans, database: str) -> None:
    own = plans.of(database)
    if not own.backups:
        nothing_goes(own)
        return
    policy = numbers(own.policy, database)
    horizon = horizon_choice(plans.rhythm(database))
    simulated, present = (plans.under(database, each, horizon) for each in (policy, own.policy))
    fate(simulated, present, horizon)
    stores = [(horizon, plans.store_at(database, policy, horizon)) for horizon in HORIZONS]
    today = [plans.store_at(database, own.policy, horizon) for horizon in HORIZONS]
    outlook(stores, today, plans.rhythm(database), theme=st.context.theme.type)
    fate_table(simulated, present)


def log(inst: Installation) -> None:
    chosen, outcome = log_filters([database.name for database in inst.settings.databases])
    store = inst.catalog.deletions
    newest = store.list(database=chosen, outcome=outcome, limit=SHOWN)
    total = store.count(database=chosen, outcome=outcome)
    deletion_log(newest, total, lambda: store.list(database=chosen, outcome=outcome))


show()
