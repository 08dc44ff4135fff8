"""What an archive or a compression would do, shown before anybody confirms it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.fitted import fitted
from dashboard.format import escape, naive, number, size, to_confirm
from dashboard.frames import in_words
from dashboard.storage_frames import class_title
from services.backups.archive_plan import ArchivePlan, Skipped
from services.backups.compress_plan import CompressPlan, stored_copies
from services.keys.rotate_plan import RotatePlan

MOST_ROWS = 8  # that are seen without scrolling
SHOWN = 500  # rows; what is confirmed is the whole plan, whose sum stands above


def archive_plan(plan: ArchivePlan) -> None:
    """Draw the copies that would be moved, how much they are, and what is left as it is."""
    count = len(plan.moves)
    if count:
        copies = "copy" if count == 1 else "copies"
        st.markdown(f"**{number(count)} {copies}, {size(plan.bytes)}**, would be moved where they lie:")
        frame = pd.DataFrame(
            {
                "Backup": [move.backup.name for move in plan.moves],
                "Storage": [move.copy.storage for move in plan.moves],
                "Finished (UTC)": [naive(move.backup.finished_at) for move in plan.moves],
                "Size": [move.copy.bytes for move in plan.moves],
                "From": [class_title(move.copy.storage_class) for move in plan.moves],
                "To": [class_title(move.storage_class) for move in plan.moves],
            }
        )
        _table(frame, "The copies that would be moved")
    else:
        st.info("No copy there is old enough and in a warmer class that could be moved.", icon=":material/info:")
    skipped_list(plan.skipped)


def compress_plan(plan: CompressPlan) -> None:
    """Draw the backups that would be compressed anew, how much they take up, and what is left as it is."""
    count = len(plan.backups)
    if count:
        backups = "backup" if count == 1 else "backups"
        st.markdown(f"**{number(count)} {backups}, {size(plan.bytes)}**, would be compressed with zstd:")
        frame = pd.DataFrame(
            {
                "Backup": [each.backup.name for each in plan.backups],
                "Finished (UTC)": [naive(each.backup.finished_at) for each in plan.backups],
                "Takes up": [sum(copy.bytes for copy in stored_copies(each.backup)) for each in plan.backups],
                "Compression": [each.backup.compression for each in plan.backups],
                "Encryption": ["new: age" if each.encrypts else each.backup.encryption for each in plan.backups],
                "Copies": [len(stored_copies(each.backup)) for each in plan.backups],
            }
        )
        _table(frame, "The backups that would be compressed anew")
    else:
        st.info("There is none that is old enough and not compressed, or with gzip only.", icon=":material/info:")
    skipped_list(plan.skipped)


def rotation_table(plan: RotatePlan) -> None:
    """Draw the backups that would be encrypted anew."""
    frame = pd.DataFrame(
        {
            "Backup": [each.backup.name for each in plan.backups],
            "Finished (UTC)": [naive(each.backup.finished_at) for each in plan.backups],
            "Takes up": [sum(copy.bytes for copy in stored_copies(each.backup)) for each in plan.backups],
            "Encrypted to now": [
                ", ".join(f"{key[:12]}…" for key in each.backup.recipients) or "nothing" for each in plan.backups
            ],
            "Copies": [len(stored_copies(each.backup)) for each in plan.backups],
        }
    )
    _table(frame, "The backups that would be encrypted anew")


def confirmed(name: str, label: str, *, key: str) -> bool:
    """Draw the field into which the name is typed, and the button that it enables; say whether that was pressed."""
    typed = st.text_input(to_confirm(name), key=f"{key}-typed")
    return st.button(label, type="primary", disabled=typed.strip() != name, key=f"{key}-go")


def _table(frame: pd.DataFrame, alt: str) -> None:
    shown = in_words(frame.head(SHOWN), sizes=[name for name in ("Size", "Takes up") if name in frame])
    dates = {"Finished (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")}
    height = 38 + 35 * min(len(frame), MOST_ROWS)
    st.dataframe(shown, hide_index=True, height=height, column_config=fitted(shown, dates), alt=alt)
    if len(frame) > SHOWN:
        st.caption(f"The first {number(SHOWN)} of {number(len(frame))}.")


def skipped_list(skipped: Sequence[Skipped]) -> None:
    """Draw what is left as it is, and why, folded away."""
    if skipped:
        with st.expander(f"{number(len(skipped))} left as they are, and why"):
            st.markdown(
                "\n".join(f"- **{escape(s.what)}** in {escape(s.storage)}: {escape(s.reason)}" for s in skipped)
            )
