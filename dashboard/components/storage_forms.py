"""The forms of the storage page: what is to be archived, compressed, or thawed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import streamlit as st

from dashboard.format import size
from dashboard.storage_frames import class_title
from services.backups.thaw_backup import thaw_times, time_words
from services.backups.thaws import Thaw
from services.storage.classes import CLASSES


@dataclass(frozen=True)
class ArchiveWish:
    """What somebody wants to have moved."""

    older_than: timedelta
    storage: str
    storage_class: str
    database: str | None


@dataclass(frozen=True)
class ThawWish:
    """What somebody wants to have thawed."""

    thaw: Thaw
    days: int
    tier: str


def archive_form(classes: Mapping[str, Sequence[str]], databases: Sequence[str]) -> ArchiveWish:
    """Draw the choice of age, storage, class and database; ``classes``: the colder classes by storage."""
    left, right = st.columns(2)
    days = left.number_input("Older than, in days", 1, 3650, 30, key="archive-days")
    storage = str(right.selectbox("Storage", list(classes), key="archive-storage"))
    left, right = st.columns(2)
    there = list(classes[storage])
    default = there.index("GLACIER") if "GLACIER" in there else len(there) - 1
    name = str(left.selectbox("Storage class", there, index=default, format_func=class_title, key="archive-class"))
    database = right.selectbox("Database", databases, index=None, placeholder="all", key="archive-database")
    st.caption(_class_words(name))
    return ArchiveWish(timedelta(days=int(days)), storage, name, database)


def compress_form(databases: Sequence[str]) -> tuple[timedelta, str | None]:
    """Draw the choice of age and database."""
    left, right = st.columns(2)
    days = left.number_input("Older than, in days", 0, 3650, 7, key="compress-days")
    database = right.selectbox("Database", databases, index=None, placeholder="all", key="compress-database")
    return timedelta(days=int(days)), database


def thaw_form(frozen: Sequence[Thaw]) -> ThawWish | None:
    """Draw the choice of a frozen copy, days and tier; return what is asked for when the button was pressed."""
    thaw = st.selectbox("Backup", frozen, format_func=_thaw_words, key="thaw-backup")
    if thaw is None:
        return None
    known = CLASSES[thaw.copy.storage_class]
    left, right = st.columns(2)
    days = left.number_input("Readable for, in days", 1, 365, 7, key="thaw-days")
    tier = str(
        right.selectbox(
            "Tier",
            list(known.thaw),
            format_func=lambda name: f"{name}: within {time_words(known.thaw[name])}",
            key="thaw-tier",
        )
    )
    st.caption(
        f"{known.title}: {thaw_times(known.name)}, as a rule. The storage bills the retrieval, and the thawed copy for "
        "the days that it stays."
    )
    if st.button("Thaw it", type="primary", icon=":material/severe_cold:", key="thaw-go"):
        return ThawWish(thaw, int(days), tier)
    return None


def _thaw_words(thaw: Thaw) -> str:
    copy = thaw.copy
    return f"{thaw.backup_name} · {copy.storage} · {class_title(copy.storage_class)} · {size(copy.bytes)}"


def _class_words(name: str) -> str:
    known = CLASSES[name]
    reading = f"Before it is read it is thawed, {thaw_times(name)}" if known.is_frozen else "It is read as it is"
    billed = f" · billed for at least {known.minimum_days} days" if known.minimum_days else ""
    return f"{reading}{billed}."
