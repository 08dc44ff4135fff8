"""What a backup holds, as its manifest's fingerprint counted it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.fitted import fitted
from dashboard.format import escape, number, size
from dashboard.visitor import note_reading
from services.backups.contents import Contents, contents_of_manifest
from services.backups.manifest import read_manifest
from services.backups.naming import manifest_key
from services.catalog.model import Backup
from services.errors import BackupsError
from services.installation import Installation

SHOWN = 500
"""So many tables are listed, the largest first; the command line lists all."""


def contents(inst: Installation, backup: Backup) -> None:
    """Draw what a backup holds, when asked; the storage is read for its manifest, and never for the backup itself."""
    copy = next((copy for copy in backup.copies if copy.state != "deleted"), None)
    if copy is None or backup.sample or not st.toggle("Show what it holds", key=f"contents-{backup.id}"):
        return
    try:
        note_reading(inst, backup, "contents")
        storage = inst.storage(copy.storage)
        manifest = read_manifest(inst.settings, storage, manifest_key(backup.database, backup.name))
    except BackupsError as error:
        st.warning(escape(f"The manifest cannot be read: {error}"), icon=":material/warning:")
        return
    if manifest.fingerprint is None:
        st.info(
            f"Nobody took a fingerprint when it was dumped. Its table of contents: `backups contents {backup.name}`",
            icon=":material/info:",
        )
        return
    _draw(contents_of_manifest(manifest))


def tables_frame(found: Contents) -> pd.DataFrame:
    """Return a row per table, the largest first: Table, Kind, Rows, Size (in the source, words)."""
    tables = sorted(found.tables, key=lambda table: (-(table.bytes or 0), table.label))[:SHOWN]
    return pd.DataFrame(
        {
            "Table": [table.label for table in tables],
            "Kind": [table.kind for table in tables],
            "Rows": [number(table.rows) for table in tables],
            "Size": [size(table.bytes) for table in tables],
        }
    )


def _draw(found: Contents) -> None:
    rows = sum(table.rows or 0 for table in found.tables)
    st.markdown(f"**{len(found.tables):,} tables, {rows:,} rows**, counted in the dump's own snapshot")
    if found.tables:
        frame = tables_frame(found)
        st.dataframe(frame, hide_index=True, height=min(420, 80 + 35 * len(found.tables)), column_config=fitted(frame),
                     alt="Tables of the backup with rows and sizes")  # fmt: skip
    if len(found.tables) > SHOWN:
        st.caption(f"The {SHOWN} largest. All: `backups contents {found.backup.name}`")
    others = " · ".join(f"{kind} {len(names):,}" for kind, names in found.objects.items() if kind != "columns")
    if others:
        st.markdown(f"Besides: {escape(others)}")
