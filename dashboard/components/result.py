"""What a finished backup gave."""

from __future__ import annotations

import streamlit as st

from dashboard.components.figures import figure, four_cells
from dashboard.format import day, duration, escape, percent, rate, size
from dashboard.navigation import page
from dashboard.theme import SEVERITY_MARKS
from services.catalog.model import Backup


def backup_result(backup: Backup) -> None:
    """Draw the card of a backup that was just made, sound or damaged, and the way to its proof."""
    with st.container(border=True):
        st.markdown(f"## {escape(backup.name)}", anchors=False)
        st.markdown(verdict_words(backup))
        if backup.note.strip():
            st.markdown(f"**Note:** {escape(backup.note)}")
        cells = four_cells()
        share = f"{percent(backup.stored_bytes, backup.plain_bytes)} of the dump's {size(backup.plain_bytes)}"
        figure(cells[0], "Stored", size(backup.stored_bytes), f":gray[{share}]")
        speed = rate(backup.plain_bytes, backup.duration.total_seconds())
        figure(cells[1], "Took", duration(backup.duration), f":gray[{speed} of the dump]")
        at = day(backup.snapshot_at).removesuffix(" UTC")  # it would be cut off on a phone
        figure(cells[2], "Holds the data of", at, ":gray[UTC, one consistent snapshot]")
        figure(cells[3], "Verified", *verified(backup))
        with st.container(horizontal=True):
            st.page_link(
                page("inventory"), label="Open it in the inventory", icon=":material/inventory_2:",
                query_params={"backup": backup.id},
            )  # fmt: skip
            if backup.state == "finished" and backup.proven_at is None and backup.verification_passed is not False:
                st.page_link(
                    page("verify_and_restore"), label="Prove it with a restore test",
                    icon=":material/assignment_turned_in:", query_params={"backup": backup.id},
                )  # fmt: skip


def verified(backup: Backup) -> tuple[str, str]:
    """Return the outcome of a backup's latest verification in a word, and in Markdown what was checked and when."""
    if backup.verification_passed is None:
        return "not yet", ":gray[no check has run]"
    failed = not backup.verification_passed
    mark = SEVERITY_MARKS["failure" if failed else "ok"]
    return "failed" if failed else "passed", mark.inline(f"{_check(backup)} · {day(backup.verification_at)}")


def verdict_words(backup: Backup) -> str:
    """Say in Markdown how far a backup can be trusted; green only for one that a restore test proved."""
    if backup.state == "expired":
        return SEVERITY_MARKS["note"].inline(f"expired {day(backup.expired_at)}; its object was deleted")
    if backup.state == "deleting":
        return SEVERITY_MARKS["failure"].inline(
            "**half deleted:** its deletion was begun and not ended; the next cleanup ends it"
        )
    if backup.trust == "untrusted":
        return SEVERITY_MARKS["failure"].inline("untrusted: its manifest is not signed by a key that we believe")
    if backup.verification_passed is False:
        return SEVERITY_MARKS["failure"].inline(
            f"**damaged:** it failed its {_check(backup)} {day(backup.verification_at)}; it protects nothing"
        )
    if backup.is_unknown:
        where = escape(", ".join(backup.unnamed_storages))
        return SEVERITY_MARKS["unknown"].inline(
            f"**unknown:** it lies only in {where}, which the settings do not name; nobody can read it there"
        )
    if backup.is_partial and backup.proven_at is not None:
        when = day(backup.proven_at)
        return SEVERITY_MARKS["note"].inline(f"partial: what it holds restores (tested {when}); tables are left out")
    partial = " · partial: tables are left out" if backup.is_partial else ""
    if backup.adopted:
        partial += " · adopted: what its source held is not known"
    if backup.proven_at is not None:
        return SEVERITY_MARKS["ok"].inline(f"proven: a restore test passed {day(backup.proven_at)}{partial}")
    if backup.verification_level is not None:
        return SEVERITY_MARKS["unknown"].inline(
            f"{backup.verification_level} check passed; not proven by a restore test yet{partial}"
        )
    return SEVERITY_MARKS["unknown"].inline(f"stored; neither verified nor proven yet{partial}")


def _check(backup: Backup) -> str:
    return "restore test" if backup.verification_level == "restore" else f"{backup.verification_level} check"
