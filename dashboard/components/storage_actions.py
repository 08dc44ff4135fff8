"""The dialogs of the storage page: each shows exactly what will happen, and does just that once it is confirmed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import streamlit as st

from dashboard.components.plan_view import archive_plan, compress_plan, confirmed
from dashboard.components.storage_forms import archive_form, compress_form, thaw_form
from dashboard.format import escape
from dashboard.guard import reported
from dashboard.session import last_seen, once, remember_message, storage_report
from dashboard.who import actor
from services.backups.archive_plan import plan_archive
from services.backups.compress_plan import plan_compress
from services.backups.thaws import Thaw
from services.catalog.model import RunKind
from services.commands import submit_archives, submit_compressions, submit_thaw
from services.installation import Installation

P = TypeVar("P")
_PLAN = "storage-plan"


def archive_dialog(inst: Installation, classes: Mapping[str, Sequence[str]]) -> None:
    """Open the dialog that moves copies to cold storage; ``classes``: the colder classes by storage."""

    @st.dialog("Move to cold storage", width="large", icon=":material/ac_unit:", on_dismiss=_close)
    def draw() -> None:
        with reported():
            wish = archive_form(classes, [database.name for database in inst.settings.databases])
            plan = _kept(
                repr(wish),
                lambda: plan_archive(
                    inst,
                    older_than=wish.older_than,
                    storage_class=wish.storage_class,
                    database=wish.database,
                    storage=wish.storage,
                ),
            )
            archive_plan(plan)
            clicked = bool(plan.moves) and confirmed(wish.storage, "Move them", key="archive")
            key = _key(inst, "archive", clicked=clicked)
            if clicked:
                submit_archives(inst, plan.moves, wish.older_than, actor=actor(), idempotency_key=key)
                _done(f"{len(plan.moves)} copies are queued to be moved. The runs are listed on the overview.")

    draw()


def compress_dialog(inst: Installation) -> None:
    """Open the dialog that compresses older backups anew."""

    @st.dialog("Compress older backups", width="large", icon=":material/compress:", on_dismiss=_close)
    def draw() -> None:
        with reported():
            older_than, database = compress_form([database.name for database in inst.settings.databases])
            plan = _kept(
                repr((older_than, database)), lambda: plan_compress(inst, older_than=older_than, database=database)
            )
            compress_plan(plan)
            st.caption(
                "Each is written anew beside the old object, read back by pg\\_restore to its end, and only then "
                "replaces it. The old object is deleted."
            )
            clicked = bool(plan.backups) and confirmed("compress", "Compress them", key="compress")
            key = _key(inst, "compress", clicked=clicked)
            if clicked:
                submit_compressions(inst, plan.backups, actor=actor(), idempotency_key=key)
                _done(f"{len(plan.backups)} backups are queued to be compressed.")

    draw()


def thaw_dialog(inst: Installation, frozen: Sequence[Thaw]) -> None:
    """Open the dialog that thaws a copy in cold storage."""

    @st.dialog("Thaw a backup", icon=":material/severe_cold:", on_dismiss=_close)
    def draw() -> None:
        with reported():
            wish = thaw_form(frozen)
            key = _key(inst, "thaw", clicked=wish is not None)
            if wish is not None:
                copy = wish.thaw.copy
                submit_thaw(
                    inst,
                    wish.thaw.backup_id,
                    storage=copy.storage,
                    days=wish.days,
                    tier=wish.tier,
                    actor=actor(),
                    idempotency_key=f"{key}:{wish.thaw.backup_id}:{copy.storage}",
                )
                _done(f"The thaw of {escape(wish.thaw.backup_name)} is queued.")

    draw()


def _kept(wish: str, make: Callable[[], P]) -> P:
    """Return the plan that is shown for a wish: the same one until the wish changes, so that just that is confirmed."""
    kept = st.session_state.get(_PLAN)
    if kept is None or kept[0] != wish:
        kept = (wish, make())
        st.session_state[_PLAN] = kept
    plan: P = kept[1]
    return plan


def _close() -> None:
    """Forget the plan, and that a dialog is open: its name stands in the URL, as that of a backup's drawer does."""
    st.session_state.pop(_PLAN, None)
    st.query_params.pop("do", None)


def _done(message: str) -> None:
    _close()
    remember_message("success", message)
    storage_report.clear()
    st.rerun()


def _key(inst: Installation, kind: RunKind, *, clicked: bool) -> str:
    """Return the idempotency key of a dialog's command: a second click starts nothing twice (``once``)."""
    newest = next(iter(inst.catalog.runs.list(kind=kind, limit=1)), None)
    return once(f"dialog:{kind}", last_seen(newest), clicked=clicked)
