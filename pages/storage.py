"""Storage: what each storage holds, when it is full, which copies are wanting, and what lies in cold storage."""

import streamlit as st

from dashboard.charts.storage import stored_area, stored_frame, stored_words
from dashboard.components.storage_actions import archive_dialog, compress_dialog, thaw_dialog
from dashboard.components.storage_cards import storage_card
from dashboard.components.thaw_list import thaw_list
from dashboard.components.wanting_copies import wanting_copies
from dashboard.format import escape, instant
from dashboard.frames import in_words
from dashboard.guard import reported
from dashboard.session import installation, last_seen, once, remember_message, storage_report
from dashboard.storage_frames import class_frame, tier_frame
from dashboard.theme import SEVERITY_MARKS, palette
from dashboard.who import actor, may, offered
from services.backups.archive_plan import classes_of
from services.backups.thaws import find_frozen, find_thaws
from services.capacity.storage_use import StorageReport
from services.capacity.tiers import use_by_tier
from services.commands import submit_copy
from services.installation import Installation
from services.retention.current import current_plans
from services.storage.one_disk import ELSEWHERE, on_one_disk, one_disk_words


def show() -> None:
    inst = installation()
    st.markdown("# Storage", anchors=False)
    with reported():
        report = storage_report()
        if not report.cards:
            st.info("Name a storage in the settings first.", icon=":material/hard_drive:")
            return
        verdict(report)
        for names in on_one_disk(inst.settings.storages):
            st.warning(f"{escape(one_disk_words(names))} {ELSEWHERE}", icon=":material/hard_drive:")
        cards(report)
        copies(inst, report)
        cold(inst)
        over_time(report)
        what_takes_it(inst, report)


def verdict(report: StorageReport) -> None:
    severity, words = report.verdict
    st.markdown(f"{SEVERITY_MARKS[severity].inline()} **{escape(words)}**")
    st.caption(f"As of {instant(report.now)}")


def cards(report: StorageReport) -> None:
    wide = {1: 1, 2: 2, 4: 2}.get(len(report.cards), 3)
    for first in range(0, len(report.cards), wide):
        for column, card in zip(st.columns(wide), report.cards[first : first + wide], strict=False):
            with column.container(border=True, height="stretch"):
                storage_card(card, theme=st.context.theme.type)


def copies(inst: Installation, report: StorageReport) -> None:
    st.markdown("## Copies that are wanting", anchors=False)
    pressed = wanting_copies(
        report.missing, report.missing_count, inst.catalog.runs.active(), report.now, anything=bool(report.held)
    )
    newest = next(iter(inst.catalog.runs.list(kind="copy", limit=1)), None)
    key = once("copy", last_seen(newest), clicked=pressed is not None)
    if pressed is not None:
        key = f"{key}:{pressed.backup_id}:{pressed.storage}"
        submit_copy(inst, pressed.backup_id, pressed.storage, actor=actor(), idempotency_key=key)
        remember_message("success", f"The copy of {escape(pressed.backup_name)} is queued.")
        storage_report.clear()
        st.rerun()


def cold(inst: Installation) -> None:
    st.markdown("## Cold storage and compression", anchors=False)
    classes, frozen = classes_of(inst), find_frozen(inst)
    if classes or frozen:
        thaw_list(find_thaws(inst), inst.clock())
    else:
        st.markdown("None of these storages has colder classes; `storage_classes` in the settings can name some.")
    offers = {
        "archive": ("Move to cold storage …", ":material/ac_unit:", bool(classes)),
        "thaw": ("Thaw a backup …", ":material/severe_cold:", bool(frozen)),
        "compress": ("Compress older backups …", ":material/compress:", True),
    }
    mine = {name: offer for name, offer in offers.items() if may(f"backup.{name}")}
    for name in sorted(offers.keys() - mine.keys()):
        offered(f"backup.{name}")
    with st.container(horizontal=True):
        for name, (label, icon, possible) in mine.items():
            if st.button(label, icon=icon, disabled=not possible):
                st.query_params["do"] = name
    asked = st.query_params.get("do")
    if asked not in mine:
        return
    if asked == "archive" and classes:
        archive_dialog(inst, classes)
    elif asked == "thaw" and frozen:
        thaw_dialog(inst, frozen)
    elif asked == "compress":
        compress_dialog(inst)


def over_time(report: StorageReport) -> None:
    st.markdown("## Stored over the last year", anchors=False)
    names = [card.name for card in report.cards]
    chosen = None
    if len(names) > 1:
        chosen = st.selectbox(
            "Storage", names, index=None, key="storage", bind="query-params", placeholder="all of them", width=260
        )
    frame = stored_frame(report.history, chosen)
    if frame.empty:
        st.info("Nothing was stored yet. The first backup starts under “Run backup”.")
        return
    words = stored_words(frame)
    theme = st.context.theme.type
    st.altair_chart(stored_area(frame, palette(theme), dark=theme == "dark"), alt=words, theme=None, key="stored")
    st.caption(words)


def what_takes_it(inst: Installation, report: StorageReport) -> None:
    """What the room is taken by, in two tables."""
    frame = class_frame(report.held)
    if frame.empty:
        return
    st.markdown("## By database, type and storage class", anchors=False)
    words = "What is stored of each database and type, by storage class"
    st.dataframe(in_words(frame, sizes=frame.columns[3:]), hide_index=True, key="classes", alt=words)
    tiers = tier_frame(use_by_tier(current_plans(inst).plans))
    if tiers.empty:
        return
    st.markdown("## By retention tier", anchors=False)
    st.caption(
        "In all storages; a backup that several tiers keep counts in each of them. “No tier”: pinned, proven, recent "
        "on-demand, or among the newest."
    )
    shown = in_words(tiers, sizes=tiers.columns[1:])
    st.dataframe(shown, hide_index=True, key="tiers", alt="What each retention tier holds")


show()
