"""The pages and their order. Built anew on each run: a ``st.Page`` belongs to the run that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.navigation.page import Page

PAGES = Path(__file__).parent.parent / "pages"

PageName = Literal[
    "overview",
    "health",
    "run_backup",
    "schedules",
    "verify_and_restore",
    "point_in_time",
    "inventory",
    "retention",
    "storage",
    "keys",
    "trends",
    "slo",
    "weekly_review",
    "audit",
    "people",
]

_TITLES: dict[PageName, tuple[str, str]] = {
    "overview": ("Overview", ":material/shield:"),
    "health": ("Health and alerts", ":material/notifications:"),
    "run_backup": ("Run backup", ":material/backup:"),
    "schedules": ("Schedules", ":material/calendar_clock:"),
    "verify_and_restore": ("Verify and restore tests", ":material/assignment_turned_in:"),
    "point_in_time": ("Point in time", ":material/history:"),
    "inventory": ("Inventory", ":material/inventory_2:"),
    "retention": ("Retention", ":material/auto_delete:"),
    "storage": ("Storage", ":material/hard_drive:"),
    "keys": ("Keys", ":material/key:"),
    "trends": ("Trends", ":material/monitoring:"),
    "slo": ("SLO", ":material/target:"),
    "weekly_review": ("Weekly review", ":material/event_note:"),
    "audit": ("Audit", ":material/receipt_long:"),
    "people": ("People", ":material/group:"),
}
_NEEDED: dict[str, str] = {"people": "people.change"}
"""What each page needs beyond looking."""


def page(name: PageName) -> Page:
    """Return a page to link or to switch to. Its URL is its name; the overview is the root."""
    title, icon = _TITLES[name]
    return st.Page(PAGES / f"{name}.py", title=title, icon=icon, default=name == "overview")


def needed_for(chosen: Page) -> str:
    """Return the permission that a page needs."""
    return _NEEDED.get(chosen.url_path, "read")


def build_navigation(*, hidden: bool = False) -> Page:
    """Return the page that the URL asks for. ``hidden``: for whoever may not see that there are any."""
    # No sections: Streamlit 1.67 draws their headings as children of the list, which screen readers stumble over.
    return st.navigation([page(name) for name in _TITLES], expanded=True, position="hidden" if hidden else "sidebar")
