"""The way to a backup's bytes: encrypted as it is stored, or decrypted for an admin who says why."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.format import counted, escape, instant, size
from dashboard.who import may, reason
from services.catalog.model import Backup
from services.commands import MAX_NOTE
from services.downloads.links import GOOD_FOR
from services.downloads.model import Form, Ticket, is_secret_free

_PLAIN = "Decrypted, for pg_restore as it is"
_MINUTES = int(GOOD_FOR.total_seconds() // 60)


@dataclass(frozen=True)
class DownloadWish:
    """What a form asks for."""

    form: Form
    storage: str
    reason: str


def download_form(backup: Backup) -> tuple[DownloadWish | None, DeltaGenerator]:
    """Draw the form; return what was asked for when it was sent, and the place for the link that is made then."""
    stored = [copy.storage for copy in backup.copies if copy.state == "stored"]
    if not stored or backup.sample:
        return None, st.container()
    with st.popover("Download", icon=":material/download:", disabled=backup.trust == "untrusted"):
        sealed = is_secret_free(backup, "stored")
        kinds = [f"As it is stored, encrypted · {size(backup.stored_bytes)}"] if sealed else []
        if may("backup.decrypt"):
            kinds.append(_PLAIN)
        if not kinds or not may("backup.download"):
            st.caption(f":material/lock: {escape(reason('backup.decrypt' if not sealed else 'backup.download'))}")
            return None, st.container()
        kind = st.radio("What", kinds, key=f"download-kind-{backup.id}", label_visibility="collapsed")
        form: Form = "plain" if kind == _PLAIN else "stored"
        if sealed and not may("backup.decrypt"):
            st.caption(f":material/lock: {escape(reason('backup.decrypt'))}")
        storage = stored[0]
        if len(stored) > 1:
            storage = st.selectbox("From", stored, key=f"download-from-{backup.id}")
        if form == "plain":
            st.warning(
                "Whoever has this file has the data, without any key. Who took it and why is kept.",
                icon=":material/lock_open:",
            )
        why = st.text_input(
            "Reason" if form == "plain" else "Reason (optional)", key=f"download-reason-{backup.id}",
            max_chars=MAX_NOTE, placeholder="for the support case …",
        )  # fmt: skip
        clicked = st.button("Make a link", icon=":material/link:", type="primary", key=f"download-ask-{backup.id}")
        place = st.container()
    return DownloadWish(form, storage, why) if clicked else None, place


def download_link(ticket: Ticket) -> None:
    """Draw a link that was made, with how long it is good."""
    what = ticket.file_name if ticket.bytes is None else f"{ticket.file_name} · {size(ticket.bytes)}"
    st.link_button(escape(what), ticket.url, icon=":material/download:", width="stretch")
    once = "within" if ticket.presigned else "once, within"
    how = "by the storage itself" if ticket.presigned else "by this dashboard"
    st.caption(f"Good {once} {counted(_MINUTES, 'minute')}, until {instant(ticket.expires_at)} · handed out {how}")
