"""Storage: what each storage holds, when it is full, and which copies are wanting."""

import streamlit as st

from dashboard.charts.storage import stored_area, stored_frame, stored_words
from dashboard.components.storage_cards import storage_card
from dashboard.components.wanting_copies import wanting_copies
from dashboard.format import escape, instant
from dashboard.guard import reported
from dashboard.session import ACTOR, installation, last_seen, once, remember_message, storage_report
from dashboard.storage_frames import class_frame
from dashboard.theme import SEVERITY_MARKS, palette
from services.capacity.storage_use import StorageReport
from services.commands import submit_copy
from services.installation import Installation


def show() -> None:
    inst = installation()
    st.markdown("# Storage", anchors=False)
    with reported():
        report = storage_report()
        if not report.cards:
            st.info("Name a storage in the settings first.", icon=":material/hard_drive:")
            return
        verdict(report)
        cards(report)
        copies(inst, report)
        over_time(report)
        by_class(report)


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
    active = inst.catalog.runs.active()
    pressed = wanting_copies(report.missing, report.missing_count, active, report.now)
    newest = next(iter(inst.catalog.runs.list(kind="copy", limit=1)), None)
    key = once("copy", last_seen(newest), clicked=pressed is not None)
    if pressed is not None:
        submit_copy(
            inst, pressed.backup_id, pressed.storage, actor=ACTOR,
            idempotency_key=f"{key}:{pressed.backup_id}:{pressed.storage}",
        )  # fmt: skip
        remember_message("success", f"The copy of {escape(pressed.backup_name)} is queued.")
        storage_report.clear()
        st.rerun()


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
    dark = st.context.theme.type == "dark"
    st.altair_chart(stored_area(frame, palette(st.context.theme.type), dark=dark), alt=words, theme=None, key="stored")
    st.caption(words)


def by_class(report: StorageReport) -> None:
    frame = class_frame(report.held)
    if frame.empty:
        return
    st.markdown("## By database and storage class", anchors=False)
    sizes = {name: st.column_config.NumberColumn(format="bytes") for name in frame.columns[2:]}
    st.dataframe(
        frame,
        hide_index=True,
        column_config=sizes,
        key="classes",
        alt="What is stored of each database, by storage class",
    )


show()
