"""The entry point: ``python -m streamlit run dashboard/server.py``. Every page is reached through here, by any URL.

The wall stands here: of whoever has not signed in, or may not, no page is run, whatever URL is asked for first.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.components.read_only_banner import read_only_banner
from dashboard.components.sign_in import refused_page, sign_in_page, signed_in
from dashboard.guard import reported, show_error
from dashboard.navigation import build_navigation, needed_for
from dashboard.session import installation, show_message
from dashboard.visitor import know_visitors
from dashboard.who import look, may, reason
from services.access.identity import PAGE_WITHOUT_SIGN_IN
from services.access.standing import Standing
from services.audit.sessions import is_due, note_refused_visit
from services.commands import note_sign_in
from services.errors import BackupsError

ICON = str(Path(__file__).with_name("icon.svg"))  # of our own: a named icon would be fetched from the internet


def main() -> None:
    """Draw the frame that all pages share, then the page."""
    st.set_page_config(page_icon=ICON, layout="wide")  # before the navigation, which would set a named icon otherwise
    found = who_is_there()
    page = build_navigation(hidden=found is None)
    if found is None:
        st.set_page_config(page_title="Sign in · Proven backups")
        return
    st.set_page_config(page_title=f"{page.title} · Proven backups")
    with reported():
        if installation().settings.access.mode != "none":
            signed_in(installation(), found)
        if installation().settings.sample:
            st.markdown(
                ":blue-badge[:material/science: Sample environment] :small[This is not your data. Its server and the "
                "backups that can be restored are real, made at the first start; the expired ones before them are "
                "simulated, never stored. Set DATABASE\\_URL and BACKUP\\_STORAGE to protect a database of your own.]"
            )
        needed = needed_for(page)
        if not may(needed):
            if st.session_state.get("refused") != page.title:
                note_refused_visit(
                    installation(), actor=found.actor, action=needed, why=reason(needed), page=page.title
                )
                st.session_state["refused"] = page.title
            refused_page(page.title, needed)
            return
        read_only_banner(installation())
        show_message()
        page.run()


def who_is_there() -> Standing | None:
    """Return who may look at pages; otherwise say what is needed, and return None."""
    try:
        know_visitors(installation())
        found = look()
        if found is not None and found.role is not None:
            if found.actor != PAGE_WITHOUT_SIGN_IN and st.session_state.get("noted") != found.actor:
                if is_due(installation(), found.actor, "sign_in"):
                    note_sign_in(installation(), actor=found.actor)
                st.session_state["noted"] = found.actor
            return found
        if found is not None and st.session_state.get("refused") != found.why:
            note_refused_visit(installation(), actor=found.actor, action="sign_in", why=found.why)
            st.session_state["refused"] = found.why
        sign_in_page(installation(), found)
    except BackupsError as error:
        show_error(error)
    return None


main()
