"""The form that checks a backup, and the history of all checks."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.format import size
from dashboard.frames import history_frame, proof_words
from services.catalog.inventory import InventoryRow
from services.catalog.summaries import CheckRow
from services.settings.model import VerificationLevel

LEVELS: dict[VerificationLevel, tuple[str, str]] = {
    "restore": (
        "Restore test",
        "Restores it into a scratch database and compares each table with the dump's own snapshot: the only proof.",
    ),
    "archive": ("Archive", "Decrypts, decompresses and lets pg\\_restore read the dump to its very end."),
    "checksum": ("Checksum", "Reads every stored byte and compares its sha256."),
    "stored": ("Stored", "Looks whether the object is there, with the right size. Quick; says nothing of its content."),
}


def verify_form(
    backups: Sequence[InventoryRow], preferred: str | None
) -> tuple[InventoryRow, VerificationLevel, bool] | None:
    """Draw the form; return the backup, the level, and whether the button was pressed. None: nothing to check."""
    if not backups:
        st.info("There is no backup to check yet. Take the first one under “Run backup”.")
        return None
    sound = next((row.id for row in backups if row.verification_passed is not False), None)
    wanted = preferred if any(row.id == preferred for row in backups) else sound
    index = next((n for n, row in enumerate(backups) if row.id == wanted), 0)
    with st.container(border=True):
        left, right = st.columns([3, 2], gap="large")
        with left:
            row = st.selectbox(
                "Backup", backups, index=index,
                format_func=lambda r: f"{r.name} · {size(r.stored_bytes)} · {proof_words(r)}",
            )  # fmt: skip
        with right:
            level = st.radio("Level", list(LEVELS), format_func=lambda name: LEVELS[name][0], horizontal=True)
        assert row is not None
        assert level is not None
        st.caption(LEVELS[level][1])
        label = "Run the restore test" if level == "restore" else f"Verify the {LEVELS[level][0].lower()} level"
        clicked = st.button(label, type="primary", icon=":material/assignment_turned_in:", key="check")
    return row, level, clicked


def history(checks: Sequence[CheckRow]) -> CheckRow | None:
    """Draw the newest checks; return the one whose row is selected."""
    if not checks:
        st.info(
            "Nothing was checked yet. A backup that was never restored is a hope: run the first restore test above."
        )
        return None
    st.caption(f"The newest {len(checks)}. Select a row for its result, table by table.")
    event = st.dataframe(
        history_frame(checks),
        hide_index=True,
        key="history",
        on_select="rerun",
        selection_mode="single-row",
        height=min(420, 38 + 35 * len(checks)),
        alt=f"The newest {len(checks)} verifications",
        column_config={
            "id": None,
            "Ended (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
            "Took": st.column_config.NumberColumn(format="%.1f s"),
        },
    )
    rows = event["selection"]["rows"]
    return checks[rows[0]] if rows else None
