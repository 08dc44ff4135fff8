"""Who is signed in, and what they may: looked up on every run of a page and of a fragment, so it holds at once."""

from __future__ import annotations

import streamlit as st

from dashboard import session  # as a module: tests put another installation there
from dashboard.format import escape
from dashboard.wall import BEGAN, stands
from services.access.identity import PAGE_WITHOUT_SIGN_IN
from services.access.roles import Role
from services.access.sign_in import sign_in, sign_in_by_proxy
from services.access.standing import Standing
from services.access.table import PERMISSIONS
from services.clock import parse_instant
from services.errors import InputError
from services.serve import refuse_address

_KEPT = "standing"


def look() -> Standing | None:
    """Look up how whoever is at this page stands now; None when nobody has signed in. Raise InputError.

    That is raised where the page was started past our server: then only this machine may be served, without sign-in.
    """
    access = session.installation().settings.access
    if not stands():
        refuse_address(str(st.get_option("server.address") or "0.0.0.0"), access)  # nosec B104  # noqa: S104 - what none means
        if access.mode != "none":
            raise InputError(
                "This page was started without the server that signs people in.",
                hint="Start it with `backups serve` or `backups dashboard`.",
            )
    found = _standing()
    st.session_state[_KEPT] = found
    return found


def has_changed() -> bool:
    """Say whether how they stand is not what the page was drawn for."""
    before: Standing | None = st.session_state.get(_KEPT)
    if session.installation().settings.access.mode == "none":
        return False
    now = _standing()
    return (now and (now.actor, now.role)) != (before and (before.actor, before.role))


def actor() -> str:
    """Return who acts, for the records and for the gate."""
    found = _kept()
    return found.actor if found is not None else PAGE_WITHOUT_SIGN_IN


def may(permission: str) -> bool:
    """Say whether whoever is at this page may do that."""
    found = _kept()
    return found is not None and found.may(permission)


def offered(permission: str) -> bool:
    """Say whether a button for it is offered, and draw in its place why not."""
    if may(permission):
        return True
    st.caption(f":material/lock: {escape(reason(permission))}")
    return False


def reason(permission: str) -> str:
    """Return in one line why they may not."""
    needed, found = PERMISSIONS[permission], _kept()
    role = found.role if found is not None else None
    return f"Only {_article(needed.role)} may {needed.what}; you are {_article(role) if role else 'nobody'}."


def _article(role: Role) -> str:
    return f"{'an' if role[0] in 'ao' else 'a'} {role}"


def _kept() -> Standing | None:
    if _KEPT not in st.session_state:
        return look()
    found: Standing | None = st.session_state[_KEPT]
    return found


def _standing() -> Standing | None:
    inst = session.installation()
    access = inst.settings.access
    if access.mode == "none":
        return Standing(PAGE_WITHOUT_SIGN_IN, Role.ADMIN, "")
    if access.mode == "proxy":
        names = st.context.headers.get_all(access.proxy_header or "")
        groups = st.context.headers.get_all(access.proxy_roles_header) if access.proxy_roles_header else []
        began = st.context.headers.get_all(BEGAN)
        if len(names) != 1 or len(began) != 1:
            return None
        return sign_in_by_proxy(inst, names[0], ",".join(groups), began=parse_instant(began[0]))
    return sign_in(inst, st.user.to_dict()) if st.user.get("is_logged_in") else None
