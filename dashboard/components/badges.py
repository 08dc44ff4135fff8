"""The badges of what keeps a backup, in tables and as text."""

from __future__ import annotations

from typing import Any

import streamlit as st

from dashboard.retention_frames import GOES
from services.retention.planner import REASONS

_TONES = {
    "daily": "blue", "weekly": "blue", "monthly": "blue", "yearly": "blue", "pinned": "green", "proven": "green",
    "future": "yellow", "recent failure": "red", "no newer good": "red", GOES: "orange",
}  # fmt: skip
"""Every other badge is grey. Colour only groups them: each says its word."""


def badge_column(label: str) -> Any:
    """Return the configuration of a column of ``retention_frames.badges``."""
    options = [*REASONS, GOES]
    return st.column_config.MultiselectColumn(
        label, width=260, options=options, color=[_TONES.get(option, "gray") for option in options]
    )


def badge_words(words: list[str]) -> str:
    """Return badges as Markdown."""
    return " ".join(f":{_TONES.get(word, 'gray')}-badge[{word}]" for word in words)
