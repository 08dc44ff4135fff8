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
    "inventory",
    "retention",
    "storage",
    "trends",
    "slo",
    "weekly_review",
]

_TITLES: dict[PageName, tuple[str, str]] = {
    "overview": ("Overview", ":material/shield:"),
    "health": ("Health and alerts", ":material/notifications:"),
    "run_backup": ("Run backup", ":material/backup:"),
    "schedules": ("Schedules", ":material/calendar_clock:"),
    "verify_and_restore": ("Verify and restore tests", ":material/assignment_turned_in:"),
    "inventory": ("Inventory", ":material/inventory_2:"),
    "retention": ("Retention", ":material/auto_delete:"),
    "storage": ("Storage", ":material/hard_drive:"),
    "trends": ("Trends", ":material/monitoring:"),
    "slo": ("SLO", ":material/target:"),
    "weekly_review": ("Weekly review", ":material/event_note:"),
}

_SECTIONS: dict[str, tuple[PageName, ...]] = {
    "Now": ("overview", "health"),
    "Protect": ("run_backup", "schedules", "verify_and_restore"),
    "Keep": ("inventory", "retention", "storage"),
    "Look back": ("trends", "slo", "weekly_review"),
}
"""What a person comes for, and the pages that serve it."""


def page(name: PageName) -> Page:
    """Return a page to link or to switch to. Its URL is its name; the overview is the root."""
    title, icon = _TITLES[name]
    return st.Page(PAGES / f"{name}.py", title=title, icon=icon, default=name == "overview")


def build_navigation() -> Page:
    """Return the page that the URL asks for."""
    return st.navigation({section: [page(name) for name in names] for section, names in _SECTIONS.items()})
