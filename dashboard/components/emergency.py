"""The emergency section of *Run backup*: few words, the plan, one confirmation."""

from __future__ import annotations

import streamlit as st

from dashboard.format import advice, escape, to_confirm
from dashboard.session import fresh_plan, last_seen, once
from dashboard.theme import CHECK_MARKS
from dashboard.who import actor, offered
from services.catalog.model import Run
from services.commands import EmergencyRequest, submit_emergency
from services.emergency.plan import EmergencyPlan
from services.emergency.request import MAX_REASON, Sessions
from services.installation import Installation
from services.settings.model import DatabaseSettings
from services.units import format_limit

WAYS: dict[Sessions, str] = {
    "end": "End them",
    "wait": "Wait 1 min, then end them",
    "wait-or-stop": "Wait 1 min, then give up",
}


def ask_emergency(inst: Installation, database: DatabaseSettings, newest: Run | None) -> None:
    """Draw the section, and start what is asked for. ``newest``: the newest backup run that the page has seen."""
    left, right = st.columns([6, 5], gap="medium")
    with left:
        st.markdown("## What will happen", anchors=False)
        options = emergency_options(database)
        plan = fresh_plan(options)
        emergency_plan(plan)
    with right:
        st.markdown("## Emergency backup", anchors=False)
        if not offered("emergency.create"):
            return
        wish = emergency_form(plan, options)
        key = once(f"emergency:{database.name}", last_seen(newest), clicked=wish is not None)
        if wish is not None:
            st.query_params["run"] = submit_emergency(inst, wish, actor=actor(), idempotency_key=key)
            st.rerun()


def emergency_options(database: DatabaseSettings) -> EmergencyRequest:
    """Draw what can be chosen; return the request as far as it goes without a reason."""
    read_only = st.toggle(
        "Stop writes while the backup is made",
        value=True,
        key=f"read-only-{database.name}",
        help=f"Read-only mode. It is always released: at the end, or after {format_limit(database.read_only_limit)}.",
    )
    sessions: Sessions = "end"
    if read_only:
        sessions = st.radio(
            "Sessions that are connected now and could go on writing",
            list(WAYS),
            format_func=lambda way: WAYS[way],
            horizontal=True,
            key=f"sessions-{database.name}",
        )
    return EmergencyRequest(database.name, reason="", read_only=read_only, sessions=sessions)


def emergency_plan(plan: EmergencyPlan) -> None:
    """Draw the steps, and what stands in their way."""
    st.markdown("\n".join(f"{number}. {escape(step)}" for number, step in enumerate(plan.steps, 1)))
    for check in plan.problems:
        hint = f"  \n:gray[{advice(check.hint)}]" if check.hint else ""
        st.markdown(f"{CHECK_MARKS[check.severity].inline()} **{escape(check.name)}** · {escape(check.message)}{hint}")
    if not plan.problems:
        st.markdown(CHECK_MARKS["ok"].inline("**Nothing stands in the way.**"))


def emergency_form(plan: EmergencyPlan, request: EmergencyRequest) -> EmergencyRequest | None:
    """Draw the confirmation; return the whole request on the run in which it was given, otherwise None."""
    name = plan.database
    with st.form(f"emergency-{name}", border=True):
        reason = st.text_input(
            "What happened", key=f"emergency-reason-{name}", max_chars=MAX_REASON,
            placeholder="Disk errors on the primary, …",
        )  # fmt: skip
        typed = st.text_input(to_confirm(name), key=f"emergency-typed-{name}")
        passed_over = False
        if plan.is_blocked and plan.is_passable:
            passed_over = st.checkbox("Pass over the blocking pre-checks", key=f"emergency-force-{name}")
        pressed = st.form_submit_button(
            "Start emergency backup", type="primary", icon=":material/emergency:", key=f"emergency-go-{name}",
            disabled=plan.is_blocked and not plan.is_passable,
        )  # fmt: skip
    if not pressed:
        return None
    missing = []
    if not reason.strip():
        missing.append("say what happened")
    if typed.strip() != name:
        missing.append(f"type {escape(name)} to confirm")
    if plan.is_blocked and not passed_over:
        missing.append("mend what blocks it, or pass over it")
    if missing:
        st.error(f"To start it, {' and '.join(missing)}.", icon=":material/block:", title="Nothing was started")
        return None
    return EmergencyRequest(
        database=name,
        reason=reason.strip(),
        read_only=request.read_only,
        sessions=request.sessions,
        force_reason=f"emergency: {reason.strip()}" if passed_over else "",
    )
