"""The form for an on-demand backup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from services.backups.naming import NAME_RULE, default_name
from services.commands import BackupRequest
from services.printable import visible_lines
from services.settings.model import DatabaseSettings, Settings


def excluded_tables() -> tuple[str, ...]:
    """Draw the patterns of tables to leave out, one a line; return them."""
    with st.expander("Leave out tables (makes a partial backup)", icon=":material/table_rows:"):
        text = st.text_area(
            "pg\\_dump patterns, one a line",
            placeholder="public.temp_*",
            height=90,
            help="A partial backup never counts as protection: it is not good, and satisfies no slot.",
        )
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def excluded_preview(tables: Sequence[str]) -> None:
    """Draw what the patterns match now."""
    count = f"{len(tables)} {'table' if len(tables) == 1 else 'tables'}"
    st.warning(f"Partial backup: {count} left out, as of now.", icon=":material/warning:")
    st.code(visible_lines("\n".join(tables)), language=None, height=min(200, 40 + 20 * len(tables)))


def backup_form(
    settings: Settings, database: DatabaseSettings, excluded: tuple[str, ...], *, blocked: bool, now: datetime
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
        exclude_tables=excluded,
        pin=pin,
        force_reason=force_reason.strip(),
    )
