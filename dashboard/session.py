"""What every page needs: the opened installation, who acts, and a click that starts nothing twice."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import streamlit as st

from dashboard.charts.calendar import calendar_panel
from dashboard.charts.panel import Panel
from dashboard.charts.trends import panels
from services.alerts.store import count_open
from services.backups.exclusions import preview_excluded
from services.capacity.storage_use import StorageReport, load_storage_report
from services.catalog.model import Run
from services.catalog.read_only_modes import ReadOnlyMode
from services.commands import EmergencyRequest
from services.emergency.plan import EmergencyPlan, make_plan
from services.installation import Installation, open_installation
from services.keys.holders import KeyReport, load_keys
from services.overview import Overview, load_overview
from services.pitr.reach import Reach, load_reach, load_status_soon
from services.pitr.status import PitrStatus
from services.postgres.exclusions import Excluded, Exclusions
from services.preflight import Preflight, preflight
from services.slo import Slo, load_slo
from services.trends.query import TrendsQuery
from services.trends.trends import Trends, load_trends


@st.cache_resource(show_spinner="Opening the installation …")
def installation() -> Installation:
    """Return the opened installation, the same for all sessions of this server. Raise BackupsError."""
    return open_installation()


@st.cache_data(ttl=1, show_spinner=False)
def overview() -> Overview:
    """Return this server's overview, read at most once a second however many tabs look at it."""
    return load_overview(installation())


@st.cache_data(ttl=5, show_spinner=False)
def open_alert_counts() -> dict[str, int]:
    """Return how many alerts are open, by severity, read at most every 5 s."""
    return count_open(installation().catalog.engine)


@st.cache_data(ttl=2, show_spinner=False)
def held_databases() -> list[ReadOnlyMode]:
    """Return the read-only modes that are not released, read at most every 2 s."""
    return installation().catalog.read_only_modes.unreleased()


@st.cache_data(ttl=10, show_spinner=False)
def key_report() -> KeyReport:
    """Return how things stand with the keys, read at most every 10 s; clear it after a command."""
    return load_keys(installation())


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def service_level(days: int, database: str | None) -> Slo:
    """Return the service level of a window, counted at most every 30 s however many tabs look at it."""
    return load_slo(installation(), days=days, database=database)


@st.cache_data(ttl=30, show_spinner="Adding up the storages …")
def storage_report() -> StorageReport:
    """Return how things stand with the storages, read at most every 30 s; clear it after a command."""
    return load_storage_report(installation())


@st.cache_data(ttl=30, max_entries=64, show_spinner="Listing the log in the storage …")
def point_reach(database: str, seen: str) -> Reach:  # noqa: ARG001 - a part of the key
    """Return what can be restored of a database's server, listed at most every 30 s.

    ``seen``: how the newest base backup's run stands; with each change the storage is listed anew.
    """
    inst = installation()
    return load_reach(inst, inst.settings.database(database))


@st.cache_data(ttl=30, show_spinner="Asking the server …")
def point_status(database: str) -> PitrStatus:
    """Return how a server is set for point in time, asked at most every 30 s; a server that is away says so."""
    inst = installation()
    return load_status_soon(inst, inst.settings.database(database))


@dataclass(frozen=True)
class TrendsPage:
    """The trends of a range, and their charts."""

    trends: Trends
    panels: list[Panel]
    calendar: Panel


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def trends_page(query: TrendsQuery) -> TrendsPage:
    """Return the trends of a range, read at most once a minute: they change with each backup, not with each look."""
    seen = load_trends(installation(), query)
    return TrendsPage(seen, panels(seen), calendar_panel(seen))


@dataclass(frozen=True)
class CheckedAt:
    """Pre-checks, and when they were made."""

    preflight: Preflight
    at: datetime


@st.cache_data(ttl=15, show_spinner="Checking the database …")
def fresh_checks(database: str) -> CheckedAt:
    """Return the pre-checks of a database, made at most 15 s ago. Raise BackupsError."""
    inst = installation()
    return CheckedAt(preflight(inst, inst.settings.database(database)), inst.clock())


@st.cache_data(ttl=15, show_spinner="Making the plan …")
def fresh_plan(request: EmergencyRequest) -> EmergencyPlan:
    """Return the plan of an emergency backup, made at most 15 s ago. Raise BackupsError."""
    return make_plan(installation(), request)


@st.cache_data(ttl=15, show_spinner=False)
def left_out(database: str, tables: tuple[str, ...], data: tuple[str, ...]) -> Excluded:
    """Return what patterns of tables, and of tables without their rows, match. Raise NothingMatches, …"""
    return preview_excluded(installation().settings.database(database), Exclusions(tables, data))


def database_choice(inst: Installation) -> str:
    """Draw the choice of a database, bound to the URL; with one database there is nothing to choose."""
    names = [database.name for database in inst.settings.databases]
    chosen = st.selectbox("Database", names, key="database", bind="query-params", width=360)
    return str(chosen)


def last_seen(run: Run | None) -> str:
    """Given the newest run that a page shows (or None), return what tells this view of the world from a later one."""
    return run.id if run is not None else "none"


def once(form: str, seen: str, *, clicked: bool) -> str:
    """Return the idempotency key for a form's command.

    The key is made of what the page showed when the person clicked: the form and the newest run they could see. So a
    double click, a reload and a second tab that show the same state ask for the same run, and nothing starts twice;
    once the run is there, the page shows it, and the next click is a new wish.

    Call it on every run of the page. ``clicked``: whether the button was pressed, which then counts for the state
    that was shown before, not for the one that this run has read meanwhile.
    """
    slot = f"seen:{form}"
    shown = st.session_state.get(slot, seen) if clicked else seen
    st.session_state[slot] = seen
    return hashlib.sha256(f"{form}\n{shown}".encode()).hexdigest()[:40]


def remember_message(kind: str, text: str) -> None:
    """Keep a message over the rerun that follows a command. ``text`` is Markdown, foreign parts escaped."""
    st.session_state["message"] = (kind, text)


def show_message() -> None:
    """Show the kept message once, if there is one."""
    kept: tuple[str, str] | None = st.session_state.pop("message", None)
    if kept is not None:
        kind, text = kept
        {"error": st.error, "success": st.success, "info": st.info}[kind](text)
