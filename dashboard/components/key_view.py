"""Keys: the table of who can decrypt, the log of drills, and the dialog that starts a rotation."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.components.plan_view import confirmed, rotation_table, skipped_list
from dashboard.fitted import fitted
from dashboard.format import ago, counted, day, escape, number, size
from dashboard.guard import reported
from dashboard.session import key_report, last_seen, once, remember_message
from dashboard.theme import OUTCOME_MARKS
from dashboard.who import actor
from services.commands import submit_rotation
from services.installation import Installation
from services.keys.holders import KeyHolder, KeyReport
from services.keys.rotate_plan import RotatePlan, plan_rotation
from services.printable import visible

_PLAN = "rotation-plan"


def holders(report: KeyReport) -> None:
    """Draw the public keys: what each is, what it opens, when it was proven and must be again."""
    frame = pd.DataFrame(
        {
            "Key": [visible(holder.name) or f"{holder.public_key[:16]}…" for holder in report.holders],
            "Role": [holder.role for holder in report.holders],
            "Opens": [counted(holder.backups, "backup") for holder in report.holders],
            "Only it opens": [number(holder.only_it) for holder in report.holders],
            "Proven in a drill": [_proven(holder, report) for holder in report.holders],
            "Next drill": [day(holder.due_at) if holder.due_at else "none" for holder in report.holders],
        }
    )
    # Not st.table: on a phone its last columns could not be reached by the keyboard.
    st.dataframe(frame, hide_index=True, alt="The keys that open the backups", column_config=fitted(frame))
    with st.expander("Public keys in full", icon=":material/key:"):
        for holder in report.holders:
            st.caption(f"{escape(holder.name or holder.role)}")
            st.code(holder.public_key, language=None, wrap_lines=True)


def _proven(holder: KeyHolder, report: KeyReport) -> str:
    if holder.proven_at is None:
        return "never" if holder.due_at else "used here" if holder.is_at_hand else "not asked"
    return ago(holder.proven_at, report.now)


def drills(report: KeyReport) -> None:
    """Draw the newest drills, a line each."""
    if not report.drills:
        st.markdown("No drill was held yet.")
        return
    lines = []
    for drill in report.drills:
        outcome = "passed" if drill.passed else "failed"
        mark = OUTCOME_MARKS["passed" if drill.passed else "failed"].inline(outcome)
        lines.append(f"- {mark} · {ago(drill.at, report.now)} · by {escape(drill.actor)} · {escape(drill.reason)}")
    st.markdown("\n".join(lines))


def rotation_dialog(inst: Installation) -> None:
    """Open the dialog that encrypts stored backups anew."""
    newest = next(iter(inst.catalog.runs.list(kind="rotate", limit=1)), None)

    @st.dialog("Encrypt stored backups anew", width="large", icon=":material/key_vertical:", on_dismiss=_close)
    def draw() -> None:
        with reported():
            plan: RotatePlan = st.session_state.get(_PLAN) or plan_rotation(inst)
            st.session_state[_PLAN] = plan
            count = len(plan.backups)
            many, keys = counted(count, "backup"), counted(len(plan.recipients), "key")
            if count:
                st.markdown(f"**{many}, {size(plan.bytes)}**, would be encrypted to {keys}:")
                rotation_table(plan)
            else:
                st.info("None can be encrypted anew now.", icon=":material/info:")
            skipped_list(plan.skipped)
            st.caption(
                "Each is decrypted and written anew beside the old object, read back to its end, and only then "
                "replaces it, in every storage. The old object is deleted."
            )
            clicked = bool(count) and confirmed("rotate", "Encrypt them anew", key="rotate")
            key = once("rotate", last_seen(newest), clicked=clicked)
            if clicked:
                submit_rotation(inst, plan.backups, actor=actor(), idempotency_key=key)
                _close()
                remember_message("success", f"{many} {'is' if count == 1 else 'are'} queued to be encrypted anew.")
                key_report.clear()
                st.rerun()

    draw()


def _close() -> None:
    """Forget the plan, and that the dialog is open: its name stands in the URL."""
    st.session_state.pop(_PLAN, None)
    st.query_params.pop("do", None)
