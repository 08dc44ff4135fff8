"""The form that checks a backup, and the history of all checks."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.components.inventory_table import TIME_WIDTH
from dashboard.fitted import fitted
from dashboard.format import counted, size
from dashboard.frames import history_frame, in_words, proof_words
from dashboard.navigation import page
from services.catalog.inventory import InventoryRow
from services.catalog.summaries import CheckRow
from services.settings.model import VerificationLevel

LEVELS: dict[VerificationLevel, tuple[str, str, str]] = {
    "restore": (
        "Restore test",
        "Run the restore test",
        "Restores it into a scratch database and compares each table with the dump's own snapshot: the only proof.",
    ),
    "archive": (
        "Archive",
        "Verify the archive",
        "Decrypts, decompresses and lets pg\\_restore read the dump to its very end. No proof that it restores.",
    ),
    "checksum": (
        "Checksum",
        "Verify the checksum",
        "Reads every stored byte and compares its sha256. No proof that it restores.",
    ),
    "stored": (
        "Stored",
        "Look whether it is stored",
        "Looks whether the object is there, with the right size. Quick; says nothing of its content.",
    ),
}
"""Of each level its name, what its button says, and what it does."""


def verify_form(
    backups: Sequence[InventoryRow], preferred: str | None
) -> tuple[InventoryRow, VerificationLevel, bool] | None:
    """Draw the form; return the backup, the level, and whether the button was pressed. None: nothing to check."""
    if not backups:
        st.info(
            "There is none yet. Take the first one; its restore test starts here.",
            icon=":material/backup:",
            title="No backup to check",
        )
        st.page_link(page("run_backup"), label="Run the first backup", icon=":material/backup:")
        return None
    sound = next((row.id for row in backups if row.verification_passed is not False), None)
    wanted = preferred if any(row.id == preferred for row in backups) else sound
    index = next((n for n, row in enumerate(backups) if row.id == wanted), 0)
    with st.container(border=True):
        left, right = st.columns([3, 2], gap="medium")
        with left:
            row = st.selectbox(
                "Backup", backups, index=index,
                format_func=lambda r: f"{r.name} · {proof_words(r)} · {size(r.stored_bytes)}",
            )  # fmt: skip
        with right:
            level = st.radio("Level", list(LEVELS), format_func=lambda name: LEVELS[name][0], horizontal=True)
        assert row is not None
        assert level is not None
        _, label, what = LEVELS[level]
        st.caption(what)
        clicked = st.button(label, type="primary", icon=":material/assignment_turned_in:", key="check")
    return row, level, clicked


def history(checks: Sequence[CheckRow]) -> CheckRow | None:
    """Draw the newest checks; return the one whose row is selected."""
    if not checks:
        st.info(
            "A backup that was never restored is only a hope. Each check is kept here, with what it found.",
            icon=":material/assignment_turned_in:",
            title="Nothing was checked yet",
        )
        return None
    st.caption(f"The newest {counted(len(checks), 'check')}. Select a row for its result, table by table.")
    frame = history_frame(checks)
    event = st.dataframe(
        in_words(frame, durations=["Took"]),
        hide_index=True,
        key="history",
        on_select="rerun",
        selection_mode="single-row",
        height=min(420, 38 + 35 * len(checks)),
        alt=f"The newest {len(checks)} verifications",
        column_config=fitted(
            frame,
            {
                "id": None,
                "Ended (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", width=TIME_WIDTH),
            },
        ),
    )
    rows = event["selection"]["rows"]
    return checks[rows[0]] if rows else None
