"""Copies in cold storage that are being thawed, or are thawed for now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from dashboard.format import ago, day, escape, size
from dashboard.storage_frames import class_title
from dashboard.theme import Mark
from services.backups.thaws import Thaw

_THAWING, _THAWED = Mark(":material/hourglass_top:", "blue"), Mark(":material/check_circle:", "green")
_LATE = Mark(":material/warning:", "yellow")


def thaw_list(thaws: Sequence[Thaw], now: datetime) -> None:
    """Draw each with its state, and when it is expected or ends."""
    if not thaws:
        st.markdown("Nothing is being thawed, and nothing is thawed now.")
        return
    st.markdown("\n".join(f"- {_words(thaw, now)}" for thaw in thaws))


def _words(thaw: Thaw, now: datetime) -> str:
    copy = thaw.copy
    where = f"{escape(copy.storage)} · {class_title(copy.storage_class)} · {size(copy.bytes)}"
    what = f"**{escape(thaw.backup_name)}** in {where}"
    if copy.thawed_until is not None:
        until = f"readable until {day(copy.thawed_until)} ({ago(copy.thawed_until, now)})"
        return f"{_THAWED.inline('thawed')} · {what} · {until}"
    expected = thaw.expected_at
    late = expected is not None and expected < now
    mark = _LATE.inline("thawing, later than usual") if late else _THAWING.inline("thawing")
    asked = f"asked for {ago(copy.thaw_requested_at, now)}, {escape(copy.thaw_tier or 'Standard')}"
    return f"{mark} · {what} · {asked} · expected by {day(expected)} ({ago(expected, now)})"
