"""From where whoever is at a page comes, and what they take along: for the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import session
from dashboard.who import actor
from services.audit.address import client_address
from services.audit.origin import coming_from, know_origins, present_origin
from services.commands.gate import entered
from services.installation import Installation

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
"""What Streamlit says nothing of."""


def know_visitors(inst: Installation) -> None:
    """Have the audit log ask here from where a page's commands come. Once a process is enough; again does no harm."""

    def address() -> str | None:
        if get_script_run_ctx(suppress_warning=True) is None:
            return None  # the dashboard's own threads
        forwarded = st.context.headers.get_all("X-Forwarded-For")
        return client_address(st.context.ip_address or LOOPBACK, forwarded, inst.settings.access.proxy_addresses)

    know_origins(address)


def exported(what: str, make: Callable[[], T]) -> Callable[[], T]:
    """Return what makes a file when somebody clicks, and has it recorded that they took it along.

    Streamlit calls it when no page is being drawn any more, so who asks is looked up now, and whether they may, then.
    """
    inst, who, origin = session.installation(), actor(), present_origin()

    def made() -> T:
        with coming_from(origin), entered(inst, "export", actor=who, arguments={"file": what}):
            return make()

    return made
