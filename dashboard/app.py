"""The entry point: ``python -m streamlit run dashboard/app.py``. Every page is reached through here, by any URL."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.components.read_only_banner import read_only_banner
from dashboard.guard import reported
from dashboard.navigation import build_navigation
from dashboard.session import installation, show_message

ICON = str(Path(__file__).with_name("icon.svg"))  # of our own: a named icon would be fetched from the internet


def main() -> None:
    """Draw the frame that all pages share, then the page."""
    st.set_page_config(page_icon=ICON, layout="wide")  # before the navigation, which would set a named icon otherwise
    page = build_navigation()
    st.set_page_config(page_title=f"{page.title} · Proven backups")
    with reported():
        if installation().settings.sample:
            st.markdown(
                ":blue-badge[:material/science: Sample environment] :small[This is not your data. "
                "Set DATABASE\\_URL and BACKUP\\_STORAGE to protect a database of your own.]"
            )
        read_only_banner(installation())
        show_message()
        page.run()


main()
