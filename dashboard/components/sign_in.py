"""What whoever may not see a page sees instead, and who is signed in with the way out."""

from __future__ import annotations

import shlex

import streamlit as st

from dashboard.format import escape
from dashboard.wall import FAILED
from dashboard.who import reason
from services.access.sign_in import NOBODY
from services.access.standing import Standing
from services.commands import sign_out
from services.installation import Installation


def sign_in_page(inst: Installation, found: Standing | None) -> None:
    """Draw the way in; ``found``: somebody who has signed in and has no right."""
    access = inst.settings.access
    _, middle, _ = st.columns([1, 2, 1])
    with middle, st.container(border=True):
        st.markdown("# Proven backups", anchors=False)
        if found is not None:
            title = "You are not signed in" if found.actor == NOBODY else "You have no access"
            st.warning(escape(found.why), icon=":material/block:", title=title)
            _who_helps(found)
        elif st.query_params.get(FAILED):
            st.error(
                "The provider's answer was not accepted. Try again; the server's log says why.",
                icon=":material/cancel:",
                title="You were not signed in",
            )
        else:
            st.markdown("Sign in to see how the backups stand.")
        if access.mode == "oidc":
            label = "Sign in" if found is None else "Sign in again, or as somebody else"
            if st.button(label, type="primary", icon=":material/login:", width="stretch"):
                st.query_params.clear()
                st.login()
        elif access.sign_out_url:
            st.link_button("Sign out", access.sign_out_url, icon=":material/logout:")


def _who_helps(found: Standing) -> None:
    if found.actor == NOBODY:
        st.markdown("Sign in again; if that does not help, ask an admin.")
        return
    who = shlex.quote(found.actor)  # an account's name is whatever its owner chose
    if found.person is None:
        words = f"add {who} --role viewer"
    else:
        words = f"enable {who}" if found.person.disabled else f"set-role {who} viewer"
    st.markdown("An admin can let you in, on the page *People* or with")
    st.code(f"backups people {words}", language=None, wrap_lines=True)


def refused_page(title: str, permission: str) -> None:
    """Say that this page is for others, and show nothing of it."""
    st.markdown(f"# {title}", anchors=False)
    st.warning(escape(reason(permission)), icon=":material/lock:", title="This page needs another role")
    st.markdown("An admin can give you another role on the page *People*.")


def signed_in(inst: Installation, found: Standing) -> None:
    """Draw who is signed in, below the navigation, and the button that signs them out."""
    access = inst.settings.access
    with st.sidebar:
        name = found.person.name if found.person is not None and found.person.name else found.actor.partition(":")[2]
        st.markdown(f":material/account_circle: {escape(name)} :gray-badge[{found.role}]")
        if access.mode == "oidc":
            if st.button("Sign out", icon=":material/logout:", type="tertiary", key="sign-out"):
                sign_out(inst, actor=found.actor)
                st.logout()
                st.stop()  # a run that goes on begins anew, being signed out, and that drops the way to the provider
        elif access.sign_out_url:
            st.link_button("Sign out", access.sign_out_url, icon=":material/logout:", type="tertiary")
