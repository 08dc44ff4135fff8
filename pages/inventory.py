"""Inventory: every backup there is or was, and all that is known of each."""

import streamlit as st

from dashboard.components.download_form import download_form, download_link
from dashboard.components.drawer import backup_details
from dashboard.components.inventory_table import filters, inventory_table, nothing_found, pager
from dashboard.components.keeping import pin_form
from dashboard.components.log_export import backup_log_export
from dashboard.format import escape
from dashboard.guard import reported
from dashboard.navigation import page
from dashboard.session import installation, last_seen, once, remember_message
from dashboard.who import actor, may, offered
from services.catalog.inventory import search
from services.catalog.model import Backup
from services.commands import ask_download, set_pin, submit_verification
from services.errors import BackupsError
from services.installation import Installation
from services.retention.current import current_plans


def show() -> None:
    inst = installation()
    st.markdown("# Inventory", anchors=False)
    with reported():
        planned = current_plans(inst).by_id
        wanted = filters([database.name for database in inst.settings.databases], inst.clock(), planned)
        rows, total = search(inst.catalog.engine, wanted)
        wanted_copies = {d.name: len(inst.settings.storages_of(d)) for d in inst.settings.databases}
        picked = inventory_table(rows, planned, total=total, wanted_copies=wanted_copies)
        pager(wanted, len(rows), total)
        if rows:
            backup_log_export(inst, wanted)
        else:
            nothing_found(wanted)
        asked = st.query_params.get("backup")
        if picked is not None:
            drawer(inst, inst.catalog.backups.get(picked.id))
        elif asked:
            drawer(inst, inst.catalog.backups.find(asked))


def close() -> None:
    st.query_params.pop("backup", None)
    st.session_state["inventory-look"] = st.session_state.get("inventory-look", 0) + 1  # a table without selection


def drawer(inst: Installation, backup: Backup) -> None:
    st.query_params["backup"] = backup.id

    @st.dialog(escape(backup.name), width=720, position="right", icon=":material/inventory_2:", on_dismiss=close)
    def details() -> None:
        with reported():
            actions(inst, backup)
            planned = current_plans(inst).by_id.get(backup.id)
            backup_details(inst, backup, planned.decision if planned else None)

    details()


def actions(inst: Installation, backup: Backup) -> None:
    if backup.state != "finished":
        return
    if not offered("backup.verify"):
        return
    newest = next(iter(inst.catalog.runs.list(backup_id=backup.id, limit=1)), None)
    with st.container(horizontal=True):
        for level, label, icon in (
            ("restore", "Run a restore test", ":material/assignment_turned_in:"),
            ("archive", "Verify the archive", ":material/rule:"),
            ("checksum", "Verify the checksum", ":material/tag:"),
        ):
            kind = "primary" if level == "restore" else "secondary"
            clicked = st.button(label, icon=icon, type=kind, key=f"{level}-{backup.id}")
            key = once(f"check:{backup.id}:{level}", last_seen(newest), clicked=clicked)
            if clicked:
                submit(inst, backup, level, key)
        wish = pin_form(backup) if may("backup.unpin" if backup.pinned else "backup.pin") else None
        asked, place = download_form(backup)
    kept = f"ticket-{backup.id}"
    if asked is not None:
        st.session_state[kept] = ask_download(
            inst, backup.id, form=asked.form, storage=asked.storage, actor=actor(), reason=asked.reason
        )
    if kept in st.session_state and st.session_state[kept].expires_at > inst.clock():
        with place:
            download_link(st.session_state[kept])
    if wish is not None:
        pinned, reason = wish
        set_pin(inst, backup.id, pinned=pinned, actor=actor(), reason=reason)
        st.rerun()


def submit(inst: Installation, backup: Backup, level: str, key: str) -> None:
    try:
        run_id = submit_verification(inst, backup.id, level, actor=actor(), idempotency_key=key)
    except BackupsError as error:
        remember_message("error", str(error))
        raise
    st.switch_page(page("verify_and_restore"), query_params={"run": run_id})


show()
