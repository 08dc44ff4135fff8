"""From where whoever is at a page comes, and what they take along: for the audit log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from dashboard import session
from dashboard.who import actor
from services.audit.address import client_address
from services.audit.model import Entry
from services.audit.origin import coming_from, know_origins, present_origin
from services.audit.record import record
from services.catalog.model import Backup
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
        peer = st.context.ip_address
        trusted = inst.settings.access.proxy_addresses
        return client_address(peer if isinstance(peer, str) else LOOPBACK, forwarded, trusted)

    know_origins(address)


def later(make: Callable[[str], T]) -> Callable[[], T]:
    """Return what makes a file when somebody clicks, given who they are now and coming from where they are now.

    Streamlit calls it when no page is being drawn any more. What it calls passes the gate by itself.
    """
    who, origin = actor(), present_origin()

    def made() -> T:
        with coming_from(origin):
            return make(who)

    return made


def note_reading(inst: Installation, backup: Backup, part: str) -> None:
    """Have it recorded, once in a session, that somebody looks at what a storage has of a backup. Raise NotRecorded."""
    seen = st.session_state.setdefault("read", set())
    if (part, backup.id) not in seen:
        record(inst, Entry(actor(), "backup.read", "backup", backup.name, detail={"part": part}))
        seen.add((part, backup.id))


def exported(what: str, make: Callable[[], T]) -> Callable[[], T]:
    """Return what makes a file when somebody clicks, and has it recorded that they took it along."""
    inst = session.installation()

    def made(who: str) -> T:
        with entered(inst, "export", actor=who, arguments={"file": what}):
            return make()

    return later(made)
