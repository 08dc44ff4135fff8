"""Why and until when a backup is kept, who pinned it, and why it could not be deleted."""

from __future__ import annotations

import streamlit as st

from dashboard.components.badges import badge_words
from dashboard.format import ago, escape, instant
from dashboard.retention_frames import badges
from services.catalog.model import Backup
from services.installation import Installation
from services.retention.planner import Decision
from services.retention.words import GOING_WORDS, REASON_WORDS


def keeping(inst: Installation, backup: Backup, decision: Decision | None) -> None:
    """Draw what the retention policy makes of a backup. ``decision``: None for one that nobody plans for."""
    if backup.state == "expired":
        return
    st.markdown("**Retention**")
    if decision is None:
        st.markdown("No policy: this database is not in the settings. Nothing deletes it by itself.")
    elif decision.keep:
        st.markdown(f"{badge_words(badges(decision))} {_until(decision)}")
        st.markdown("\n".join(f"- **{reason}**: {REASON_WORDS[reason]}" for reason in decision.reasons))
    else:
        st.markdown(f"{badge_words(badges(decision))} with the next cleanup: {GOING_WORDS[decision.going]}.")
    _pin(inst, backup)
    for copy in backup.copies:
        if copy.deletion_failed_at is not None:
            st.warning(
                escape(copy.deletion_error), icon=":material/warning:",
                title=f"Deletion from {escape(copy.storage)} failed {ago(copy.deletion_failed_at, inst.clock())}",
            )  # fmt: skip


def _until(decision: Decision) -> str:
    if decision.expires_at is None:
        return "for as long as that holds"
    return f"until **{instant(decision.expires_at)}**, if one good backup a day keeps coming"


def _pin(inst: Installation, backup: Backup) -> None:
    pin = inst.catalog.pins.get(backup.id)
    if pin is None:
        return
    word = "Pinned" if pin.pinned else "Unpinned"
    because = f": {escape(pin.reason)}" if pin.reason else ""
    waiting = "" if pin.stored else " · :gray[not stored beside the backup yet; the worker does that]"
    st.markdown(f"{word} by {escape(pin.actor)} {ago(pin.at, inst.clock())}{because}{waiting}")


def pin_form(backup: Backup) -> tuple[bool, str] | None:
    """Draw the form that pins a backup or takes its pin away; return (pinned, reason) when it was sent."""
    icon = ":material/keep_off:" if backup.pinned else ":material/keep:"
    with st.popover("Unpin" if backup.pinned else "Pin", icon=icon):
        st.markdown(
            "The policy decides again, and may delete it with the next cleanup."
            if backup.pinned
            else "No policy deletes it, and nobody can by hand, until it is unpinned."
        )
        reason = st.text_input(
            "Reason", key=f"pin-reason-{backup.id}", max_chars=2000, placeholder="for the audit of …"
        )
        label = "Take the pin away" if backup.pinned else "Pin it"
        if st.button(label, key=f"pin-{backup.id}", type="primary", icon=icon):
            return not backup.pinned, reason
    return None
