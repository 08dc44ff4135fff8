"""What waits for a second person: who asked for what, until when, and the two buttons that decide it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.fitted import fitted
from dashboard.format import ago, escape, naive, size
from dashboard.session import remember_message
from dashboard.who import actor, offered
from services.access.identity import PAGE_WITHOUT_SIGN_IN
from services.approvals.exactly import Exactly, exactly
from services.approvals.rules import may_take_part
from services.catalog.approvals import Approval, Rule
from services.commands import approve_request, reject_request
from services.installation import Installation
from services.printable import visible

WHAT: dict[Rule, str] = {
    "delete": "Deletions that wait for a second person",
    "restore": "Restores that wait for a second person",
}


def waiting_approvals(inst: Installation, rule: Rule) -> None:
    """Draw what waits under a rule; nothing where the rule is off and nothing waits."""
    now = inst.clock()
    found = inst.catalog.approvals.waiting(now, rule=rule)
    if not found:
        if rule in inst.settings.two_person:
            what = "A deletion by hand" if rule == "delete" else "A restore"
            st.caption(f"{what} is asked for by one person and approved by another.")
        return
    st.markdown(f"## {WHAT[rule]}", anchors=False)
    for one in found:
        with st.container(border=True):
            _one(inst, one)


def _one(inst: Installation, one: Approval) -> None:
    now = inst.clock()
    st.markdown(f":material/how_to_reg: **{escape(one.summary)}**")
    because = f" · {escape(one.reason)}" if one.reason else ""
    when = f"{ago(one.asked_at, now)} · expires {ago(one.expires_at, now)}"
    st.markdown(f":gray[Asked for by {escape(one.asked_by)} {when}{because}]")
    _what(exactly(inst, one))
    who = actor()
    unknown = not may_take_part(inst.settings, one.asked_by)
    own, nobody = one.asked_by == who, who == PAGE_WITHOUT_SIGN_IN
    if not own and not offered("approval.decide"):
        return
    with st.container(horizontal=True):
        approved = st.button(
            "Take over" if unknown else "Approve",
            key=f"approve-{one.id}",
            icon=":material/check:",
            type="primary",
            disabled=own or nobody,
        )
        rejected = st.button("Withdraw" if own else "Reject", key=f"reject-{one.id}", icon=":material/close:")
    if unknown:
        st.caption(
            "The command line cannot tell who that was: who takes it over is the one who asks, and another approves."
        )
    elif own:
        st.caption("You asked for it, so somebody else approves it.")
    elif nobody:
        st.caption(f"Nobody has signed in here. On the command line: `backups approvals approve {one.id}`.")
    if approved:
        st.query_params["run"] = approve_request(inst, one.id, actor=actor())
        remember_message("success", f"Approved: {escape(one.summary)}.")
        st.rerun()
    if rejected:
        reject_request(inst, one.id, actor=actor())
        remember_message("info", f"It was {'withdrawn' if own else 'rejected'}: {escape(one.summary)}.")
        st.rerun()


def _what(about: Exactly) -> None:
    """Draw all that it is about, no backup left out: the second person answers for each."""
    if about.options:
        said = " · ".join(
            f"{escape(name.replace('_', ' '))}: {escape(str(value))}" for name, value in about.options.items()
        )
        st.caption(said)
    if not about.backups:
        return
    frame = pd.DataFrame(
        {
            "Backup": [visible(each.name) for each in about.backups],
            "Database": [visible(each.database) for each in about.backups],
            "Finished (UTC)": [naive(each.finished_at) if each.finished_at else None for each in about.backups],
            "Takes up": [size(each.bytes) for each in about.backups],
            "State": [f"{each.state}, pinned" if each.pinned else each.state for each in about.backups],
        }
    )
    with st.expander(f"What exactly: {about.total}", icon=":material/list:"):
        st.dataframe(frame, hide_index=True, alt="All backups that it is about", column_config=fitted(frame))
