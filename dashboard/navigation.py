"""The pages and their order. Built anew on each run: a ``st.Page`` belongs to the run that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.navigation.page import Page

PAGES = Path(__file__).parent.parent / "pages"

PageName = Literal["overview", "run_backup", "inventory", "verify_and_restore", "trends"]

_TITLES: dict[PageName, tuple[str, str]] = {
    "overview": ("Overview", ":material/shield:"),
    "run_backup": ("Run backup", ":material/backup:"),
    "inventory": ("Inventory", ":material/inventory_2:"),
    "verify_and_restore": ("Verify and restore tests", ":material/assignment_turned_in:"),
    "trends": ("Trends", ":material/monitoring:"),
}


def page(name: PageName) -> Page:
    """Return a page to link or to switch to. Its URL is its name; the overview is the root."""
    title, icon = _TITLES[name]
    return st.Page(PAGES / f"{name}.py", title=title, icon=icon, default=name == "overview")


def build_navigation() -> Page:
    """Return the page that the URL asks for."""
    return st.navigation([page(name) for name in _TITLES])
