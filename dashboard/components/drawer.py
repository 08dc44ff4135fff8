"""One backup in full: what it is, where it lies, who proved it, and how to restore it with or without us."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pandas as pd
import streamlit as st

from dashboard.components.contents_view import contents
from dashboard.components.keeping import keeping
from dashboard.components.result import verdict_words
from dashboard.components.run_view import log_lines
from dashboard.format import ago, day, duration, escape, instant, percent, short, size
from dashboard.guard import reported
from dashboard.navigation import page
from dashboard.storage_frames import class_title
from dashboard.theme import COPY_MARKS, OUTCOME_MARKS, UNSIGNED
from dashboard.visitor import exported, note_reading
from services.backups.by_hand import restore_commands
from services.backups.damage import tell_damage
from services.backups.log_entry import render_log_entry
from services.backups.missing_copies import wanted_copies
from services.backups.naming import manifest_key
from services.backups.thaw_backup import describe_thaw
from services.catalog.model import Backup, Trust
from services.catalog.summaries import recent_checks
from services.errors import StorageError
from services.installation import Installation
from services.printable import visible_lines
from services.retention.planner import Decision
from services.storage.classes import is_frozen

SIGNATURES: dict[Trust, str] = {
    "signed": "signed, by a key that this installation trusts",
    "unsigned": "none",
    "untrusted": "not by a key that this installation trusts",
}
UNSIGNED_WORDS = (
    "Whoever can write to its storage could have changed its manifest unnoticed, and with it what a restore test "
    "compares with. Set BACKUP\\_SIGNING\\_KEY, and what is backed up from then on is signed."
)


def backup_details(inst: Installation, backup: Backup, decision: Decision | None) -> None:
    """Draw everything that is known of a backup. Reads the catalogue; the storage only for the manifest, when asked."""
    badge = f" {UNSIGNED.badge('unsigned')}" if backup.trust == "unsigned" else ""
    st.markdown(f"{verdict_words(backup)}{badge}")
    if backup.trust == "unsigned" and backup.state != "expired":
        st.warning(UNSIGNED_WORDS, icon=UNSIGNED.icon, title="No signature vouches for it")
    if backup.trust == "untrusted":
        st.error(
            "Its manifest is not signed by a key that this installation believes. What follows is what the manifest "
            "claims; nothing of it is confirmed, and it is never restored silently.",
            icon=":material/gpp_bad:",
            title="Untrusted manifest",
        )
    if backup.sample:
        st.info(
            "This row is simulated history of the sample environment: nothing of it is stored.",
            icon=":material/science:",
        )
    _damage(inst, backup)
    _facts(backup, inst.settings.key_names)
    keeping(inst, backup, decision)
    _copies(inst, backup)
    _verifications(inst, backup)
    _by_hand(inst, backup)
    with st.expander("Log entry for the runbook", icon=":material/description:"):
        st.code(visible_lines(render_log_entry(backup)), language=None, wrap_lines=True)
    contents(inst, backup)
    _manifest(inst, backup)
    with st.expander("Log of its run", icon=":material/terminal:"):
        log_lines(
            inst.catalog.runs.log(backup.run_id, last=200) if backup.run_id else [],
            empty="No log: the backup is known from its manifest alone.",
        )


def _damage(inst: Installation, backup: Backup) -> None:
    damage = tell_damage(inst, backup)
    if damage is None or backup.sample:
        return
    say, icon = (st.error, ":material/gpp_bad:") if damage.is_lost else (st.warning, ":material/warning:")
    say(escape(" ".join(damage.sentences)), icon=icon, title=damage.title)
    if damage.proven is not None:
        st.page_link(
            page("inventory"), label="Open the newest proven backup", icon=":material/verified:",
            query_params={"backup": damage.proven.id},
        )  # fmt: skip


def _facts(backup: Backup, key_names: Mapping[str, str]) -> None:
    keys = len(backup.recipients)
    sealed = f"age, to {keys} {'key' if keys == 1 else 'keys'}" if backup.encryption == "age" else backup.encryption
    share = percent(backup.stored_bytes, backup.plain_bytes)
    level = f" level {backup.compression_level}" if backup.compression_level is not None else ""
    facts = {
        "Database": backup.database,
        "Holds the data of": instant(backup.snapshot_at),
        "Type": backup.type + (" · pinned" if backup.pinned else ""),
        "Stored size": f"{size(backup.stored_bytes)} · {share} of the dump's {size(backup.plain_bytes)}",
        "Size of the database then": size(backup.database_bytes),
        "Took": f"{duration(backup.duration)} · {instant(backup.started_at)} to {backup.finished_at:%H:%M:%S}",
        "Format": f"pg_dump {backup.format} · {backup.compression}{level} · PostgreSQL {backup.server_version}",
        "Encryption": sealed,
        "Signature of the manifest": SIGNATURES[backup.trust],
        "Left out": ", ".join(backup.excluded) or "nothing",
        "Made by": backup.actor,
    }
    _pairs(facts, "Facts of the backup")
    if backup.note.strip():
        st.markdown(f"**Note:** {escape(backup.note)}")
    # Too long to break in a table's cell.
    with st.expander("Hash, and the keys it is encrypted to", icon=":material/fingerprint:"):
        _labelled("sha256 of the stored file", backup.sha256)
        _labelled("sha256 of the dump within", backup.plain_sha256)
        for key in backup.recipients:
            name = f" of {escape(key_names[key])}" if key in key_names else ""
            _labelled(f"Encrypted to the age key{name}", key)


def _labelled(label: str, text: str) -> None:
    with st.container(gap="xsmall"):
        st.caption(label)
        st.code(text, language=None, wrap_lines=True)


def _copies(inst: Installation, backup: Backup) -> None:
    st.markdown("**Copies**")
    if not backup.copies:
        st.markdown("No copy is left.")
    now = inst.clock()
    folders = {storage.name for storage in inst.settings.storages if storage.is_local}
    for copy in backup.copies:
        state = COPY_MARKS[copy.state].inline(copy.state)
        looked = f" · last checked {day(copy.checked_at)}" if copy.checked_at else ""
        kind = "" if copy.storage in folders else f" · {class_title(copy.storage_class)}"  # a folder has no classes
        st.markdown(f"{state} in **{escape(copy.storage)}** · {size(copy.bytes)}{kind}{looked}")
        if copy.is_locked(now):
            st.markdown(f":gray[:material/lock: locked until {instant(copy.locked_until)} ({copy.lock_mode})]")
        if copy.error:
            again = f" Tried again {ago(copy.next_attempt_at, now)}." if copy.next_attempt_at else ""
            st.markdown(f":gray[{escape(short(copy.error, 300))}{again}]")
        if is_frozen(copy.storage_class):
            st.markdown(f":gray[{escape(describe_thaw(copy, backup.name))}]")
        st.code(copy.location, language=None, wrap_lines=True)
    wanted = wanted_copies(inst).get(backup.database, ())
    missing = [name for name in wanted if name not in {copy.storage for copy in backup.copies}]
    if missing and backup.state == "finished" and not backup.sample:
        st.markdown(COPY_MARKS["missing"].inline("wanting") + f" in **{escape(', '.join(missing))}**")


def _verifications(inst: Installation, backup: Backup) -> None:
    st.markdown("**Verifications**")
    found = recent_checks(inst.catalog.engine, backup_id=backup.id, limit=20)
    if not found:
        st.markdown("None yet. A backup that was never restored is a hope, not a backup: run a restore test.")
        return
    now = inst.clock()
    lines = []
    for v in found:
        level = "restore test" if v.level == "restore" else v.level
        outcome = OUTCOME_MARKS[v.outcome].inline(v.outcome)
        lines.append(f"- {outcome} · **{level}** · {ago(v.finished_at, now)} · {escape(v.reason)}")
    st.markdown("\n".join(lines))


def _by_hand(inst: Installation, backup: Backup) -> None:
    copy = next((copy for copy in backup.copies if copy.state == "stored"), None)
    if copy is None or backup.trust == "untrusted":
        return
    endpoint = next((s.endpoint_url for s in inst.settings.storages if s.name == copy.storage), None)
    with st.expander("Restore it by hand, without this product", icon=":material/build:"):
        st.code(restore_commands(backup, copy, endpoint_url=endpoint), language="bash", wrap_lines=True)
        st.caption("`key.txt` holds the age secret key; PGHOST, PGPORT and PGUSER name the server.")


def _manifest(inst: Installation, backup: Backup) -> None:
    copy = next((copy for copy in backup.copies if copy.state != "deleted"), None)
    if copy is None or not st.toggle("Show the manifest", key=f"manifest-{backup.id}"):
        return
    with reported():
        note_reading(inst, backup, "manifest")
        try:
            data = inst.storage(copy.storage).get(manifest_key(backup.database, backup.name))
        except StorageError as error:
            st.warning(escape(f"The manifest cannot be read: {error}"), icon=":material/warning:")
            return
        if backup.trust == "untrusted":
            st.caption(":red[:material/gpp_bad: untrusted content, shown as it is stored]")
        file = f"{backup.name}.manifest.json"
        st.download_button("Download the manifest", exported(file, lambda: data), file, "application/json")
        try:
            st.json(json.loads(data), expanded=1)
        except ValueError:
            st.code(data[:5000].decode("utf-8", "replace"), language=None, wrap_lines=True)


def _pairs(facts: dict[str, str], alt: str) -> None:
    frame = pd.DataFrame({"Fact": list(facts), "Value": [escape(value) for value in facts.values()]})
    st.table(frame, border="horizontal", hide_index=True, hide_header=True, alt=alt)
