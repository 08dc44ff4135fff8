"""The form for an on-demand backup."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from dashboard.format import escape, percent, size
from services.backups.naming import NAME_RULE, default_name
from services.commands import BackupRequest
from services.postgres.exclusions import Excluded, Exclusions
from services.preflight.method import MethodChoice
from services.printable import visible_lines
from services.settings.model import MOST_JOBS, DatabaseSettings, Settings

_WHAT = {"table": "", "data": " (rows only)"}


def exclusions() -> Exclusions:
    """Draw the patterns of tables to leave out, and of those whose rows alone are, one a line; return them."""
    with st.expander("Leave out tables (makes a partial backup)", icon=":material/table_rows:"):
        tables = st.text_area(
            "pg\\_dump patterns, one a line",
            placeholder="public.temp_*",
            height=90,
            help="A partial backup never counts as protection: it is not good, and satisfies no slot.",
        )
        data = st.text_area(
            "Patterns of tables of which only the rows are left out, one a line",
            placeholder="audit_logs",
            height=90,
            help="They are restored empty, and without the foreign keys that point to them.",
        )
    return Exclusions(_lines(tables), _lines(data))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def excluded_preview(found: Excluded) -> None:
    """Draw what the patterns match now, and how large that is."""
    tables = f"{len(found.listed)} {'table' if len(found.listed) == 1 else 'tables'}"
    share = f" ({percent(found.bytes, found.all_bytes)})" if found.all_bytes else ""
    st.warning(
        f"Partial backup: {tables} left out, as of now: {size(found.bytes)} of {size(found.all_bytes)}{share}.",
        icon=":material/warning:",
    )
    lines = [f"{each.label}{_WHAT[each.what]} · {size(each.bytes)}" for each in found.listed]
    st.code(visible_lines("\n".join(lines)), language=None, height=min(200, 40 + 20 * len(lines)))


def backup_form(
    settings: Settings,
    database: DatabaseSettings,
    excluded: Exclusions,
    *,
    method: MethodChoice | None,
    blocked: bool,
    now: datetime,
) -> BackupRequest | None:
    """Draw the form; return what is asked for on the run in which the button was pressed, otherwise None.

    Every widget has a key: without one it is another widget as soon as a word of it changes, as the clock in the
    name's placeholder does, and what was typed is lost.
    """
    keys = len(settings.recipients)
    with st.form(f"backup-{database.name}", border=True):
        note = st.text_input(
            "Note", key=f"note-{database.name}", max_chars=2000, placeholder="Why this backup: before deploy 4.2, …"
        )
        name = st.text_input(
            "Name", key=f"name-{database.name}", max_chars=100, placeholder=default_name(database.name, now),
            help=f"Empty: the moment at which it starts, as shown. Otherwise {NAME_RULE}.",
        )  # fmt: skip
        columns = st.columns(2)
        level = columns[0].number_input(
            "Compression level (zstd)", 1, 19, database.compression_level, key=f"level-{database.name}",
            help="1 is fastest, 19 smallest. 3 is a good middle; above 9 the database waits for the compressor.",
        )  # fmt: skip
        with columns[1]:
            encrypt = st.checkbox(
                f"Encrypt to {keys} age {'key' if keys == 1 else 'keys'}" if keys else "Encrypt (no recipient is set)",
                value=database.encrypt,
                key=f"encrypt-{database.name}",
                help="Without encryption whoever reads the storage reads the data. Keys: `backups keygen`.",
            )
            pin = st.checkbox("Pin it", key=f"pin-{database.name}", help="No policy ever deletes a pinned backup.")
        jobs = st.number_input(
            "Jobs", 1, MOST_JOBS, proposed_jobs(database, method), key=f"jobs-{database.name}",
            help="1: one stream, which needs no disk. 2 and more: a parallel dump, spooled to the disk first. "
            "Each job is a session of the server; a table is never shared by two.",
        )  # fmt: skip
        if method is not None:
            st.caption(escape(method.describe()))
        force_reason = ""
        if blocked:
            force_reason = st.text_input(
                "A pre-check blocks this backup. Reason to run it all the same",
                key=f"force-{database.name}",
                help="It is recorded in the run and in the backup's manifest.",
            )
        pressed = st.form_submit_button(
            "Back up all the same" if blocked else "Back up now",
            key=f"go-{database.name}",
            type="secondary" if blocked else "primary",
            icon=":material/backup:",
        )
    if not pressed:
        return None
    if blocked and not force_reason.strip():
        st.error(
            "Mend what the pre-checks name and check again, or give a reason to pass over it.",
            icon=":material/block:",
            title="Nothing was started: a pre-check blocks this backup",
        )
        return None
    return BackupRequest(
        database=database.name,
        name=name.strip() or None,
        note=note.strip(),
        compression_level=int(level),
        encrypt=encrypt,
        exclude_tables=excluded.tables,
        exclude_table_data=excluded.data,
        jobs=int(jobs),
        pin=pin,
        force_reason=force_reason.strip(),
    )


def proposed_jobs(database: DatabaseSettings, method: MethodChoice | None) -> int:
    """Return with how many jobs the form begins: those of the settings, or what is proposed for this size."""
    if database.jobs > 1 or method is None:
        return database.jobs
    return method.jobs
