"""The log as files: made when they are asked for, handed to the browser in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import streamlit as st

from dashboard.visitor import exported
from services.catalog.inventory import InventoryQuery, conditions
from services.installation import Installation
from services.logbook.backups import backup_log
from services.logbook.checks import check_log, iterate_checks
from services.logbook.form import LogForm

_FORMS: tuple[tuple[LogForm, str, str, str, str], ...] = (
    ("csv", "Spreadsheet (CSV)", "csv", "text/csv", ":material/table:"),
    ("json", "JSON", "json", "application/json", ":material/data_object:"),
    ("template", "The runbook's entries (text)", "txt", "text/plain", ":material/description:"),
)


def backup_log_export(inst: Installation, wanted: InventoryQuery) -> None:
    """Draw the export of the log of the backups that fit the filters: all of them, however many the table shows."""
    asked = conditions(wanted, inst.catalog.engine.dialect.name)
    _files(
        "backups",
        "Export the log",
        lambda form: backup_log(inst.catalog.backups.iterate(*asked), form),
    )


def restore_test_log_export(inst: Installation) -> None:
    """Draw the export of the log of all restore tests (the runbook's restore_tests.log)."""
    _files(
        "restore_tests",
        "Export the log of restore tests",
        lambda form: check_log(iterate_checks(inst.catalog.engine, restore_tests_only=True), form),
    )


def _files(name: str, label: str, pieces: Callable[[LogForm], Iterator[str]]) -> None:
    with st.popover(label, icon=":material/download:", type="tertiary"):
        for form, words, suffix, mime, icon in _FORMS:
            st.download_button(
                words, exported(f"{name}.{suffix}", partial(_whole, pieces, form)), f"{name}.{suffix}", mime,
                key=f"log-{name}-{form}", on_click="ignore", type="tertiary", icon=icon,
            )  # fmt: skip


def _whole(pieces: Callable[[LogForm], Iterator[str]], form: LogForm) -> str:
    return "".join(pieces(form))
