"""One storage at a glance: how full, against which limit, how fast it grows, when it is full, and in which classes."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard.charts.storage import room_bar, room_frame
from dashboard.format import NOTHING, escape, number, percent, size
from dashboard.storage_frames import class_title, type_title
from dashboard.theme import SEVERITY_MARKS, palette
from services.capacity.storage_use import SOON, StorageCard

_WORDS = {"ok": "room", "warning": "tight", "failure": "full", "unknown": "unknown"}


def storage_card(card: StorageCard, *, theme: str | None) -> None:
    """Draw the card of one storage. The caller gives it its container."""
    severity, words = card.verdict
    mark = SEVERITY_MARKS[severity]
    with st.container(gap="xsmall"):
        st.markdown(f"## {escape(card.name)} {mark.badge(_WORDS[severity])}", anchors=False)
        st.caption(escape(card.url) if card.url else "not in the settings any more")
    st.markdown(f"{mark.inline()} {escape(words)}")
    _room(card, theme)
    rows = [st.columns(2, wrap=False) for _ in range(2)]
    _number(rows[0][0], "Grows a day", *_pace(card))
    _number(rows[0][1], "Full in", *_full(card))
    held = f"in {number(card.used.copies)} {'copy' if card.used.copies == 1 else 'copies'}"
    _number(rows[1][0], "Holds", size(card.used.bytes), held)
    wanting = "listed below" if card.wanting else "every backup is here" if card.used.copies else "no backup yet"
    _number(rows[1][1], "Copies wanting", number(card.wanting), wanting)
    _classes(card)


def _room(card: StorageCard, theme: str | None) -> None:
    total = card.total_bytes
    if not total:
        return
    bound = "limit" if total == card.limit_bytes else "disk"
    held = f"{size(card.used.bytes)} of {size(total)} ({bound})"
    words = f"{held} · {percent(card.used.bytes, total)} · nearly full from {card.warn_percent} %"
    with st.container(gap="xsmall"):
        bar = room_bar(room_frame(card), card, palette(theme))
        st.altair_chart(bar, alt=f"{card.name}: {words}", theme=None, key=f"room-{card.name}")
        st.caption(words)


def _number(column: DeltaGenerator, label: str, value: str, below: str) -> None:
    with column.container(gap=None):
        st.metric(label, value)
        st.caption(below)


def _pace(card: StorageCard) -> tuple[str, str]:
    pace = card.growth_bytes_per_day
    if pace is None:
        return NOTHING, "known after a week of backups"
    return ("not growing" if round(pace) == 0 else f"{'+' if pace > 0 else ''}{size(round(pace))}"), "median of 90 days"


def _full(card: StorageCard) -> tuple[str, str]:
    if card.total_bytes is None:
        return "no limit", "none is set"
    left = f"{size(card.room_bytes)} left"
    if card.full_in_days is not None:
        days = "day" if card.full_in_days == 1 else "days"
        return f"{number(card.full_in_days)} {days}", f"{left} · warns at {SOON} days"
    if card.growth_bytes_per_day is None:
        return NOTHING, left
    return ("over 10 years" if card.growth_bytes_per_day > 0 else "never"), f"{left} · at this pace"


def _classes(card: StorageCard) -> None:
    if card.by_type:
        st.caption(" · ".join(f"{type_title(kind)} {size(use.bytes)}" for kind, use in card.by_type.items()))
    if set(card.by_class) - {"STANDARD"}:
        parts = [f"{class_title(name)} **{size(use.bytes)}**" for name, use in card.by_class.items()]
        st.markdown(" · ".join(parts))
