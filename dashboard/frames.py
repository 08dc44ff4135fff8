"""DataFrames for tables, each with a documented column schema. Pure; nothing here knows Streamlit."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from services.catalog.inventory import InventoryRow
from services.catalog.summaries import CheckRow
from services.csv_export import csv_text
from services.restores.comparison_model import DIFFERENCES, Comparison

INVENTORY_COLUMNS = (
    "id", "Name", "Database", "Taken (UTC)", "State", "Proof", "Type", "Size", "Took", "Stored in", "Note",
)  # fmt: skip
HISTORY_COLUMNS = ("id", "Ended (UTC)", "Backup", "Level", "Outcome", "Took", "Storage", "By", "What was found")
TABLE_COLUMNS = ("Table", "Outcome", "Rows in the source", "Rows restored", "Content", "Remarks")


def state_words(backup: InventoryRow) -> str:
    """Return the word for a backup's state, with a sign of its own."""
    if backup.state == "expired":
        return "– expired"
    if backup.trust == "untrusted":
        return "⚠ untrusted"
    if backup.verification_passed is False:
        return "✕ failed verification"
    if not backup.storages:
        return "✕ no copy left"
    if backup.adopted:
        return "▖ adopted"
    return "▖ partial" if backup.is_partial else "✓ good"


def proof_words(backup: InventoryRow) -> str:
    """Return how far a backup was verified."""
    if backup.proven_at is not None:
        return f"◆ proven {backup.proven_at:%Y-%m-%d}"
    if backup.verification_level is None:
        return "? not verified"
    if not backup.verification_passed:
        return f"✕ {backup.verification_level} failed"
    return f"{backup.verification_level} passed"


def inventory_frame(backups: Iterable[InventoryRow]) -> pd.DataFrame:
    """Return one row a backup, with INVENTORY_COLUMNS.

    ``Taken (UTC)`` is the snapshot's instant (naive, UTC), ``Size`` stored bytes, ``Took`` seconds, the rest text.
    """
    rows = [
        (
            backup.id, backup.name, backup.database, _naive(backup.snapshot_at), state_words(backup),
            proof_words(backup), backup.type + (" · pinned" if backup.pinned else ""), backup.stored_bytes,
            backup.duration.total_seconds(), backup.storages,
            " ".join(backup.note.split()),
        )
        for backup in backups
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(INVENTORY_COLUMNS))


def history_frame(checks: Iterable[CheckRow]) -> pd.DataFrame:
    """Return one row a verification, with HISTORY_COLUMNS; ``Took`` is seconds."""
    signs = {"passed": "✓ passed", "failed": "✕ failed", "not testable": "? not testable"}
    rows = [
        (
            v.id, _naive(v.finished_at), v.backup_name,
            "restore test" if v.level == "restore" else v.level, signs[v.outcome],
            (v.finished_at - v.started_at).total_seconds(), v.storage, v.actor, " ".join(v.reason.split()),
        )
        for v in checks
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row a table, differences first, with TABLE_COLUMNS; row counts are integers or missing."""
    signs = {"equal": "✓ equal", "count only": "✓ count only", "recomputed": "– recomputed"}
    rows = [
        (
            table.label + ("" if table.kind == "table" else f" ({table.kind})"),
            signs.get(table.outcome, f"{'✕' if table.outcome in DIFFERENCES else '–'} {table.outcome}"),
            table.expected_rows, table.actual_rows,
            {"equal": "hash equal", "differs": "hash differs", "not compared": "not compared"}[table.hash],
            "" if table.outcome == "equal" else table.words,
        )
        for table in sorted(comparison.tables, key=lambda t: (t.outcome not in DIFFERENCES, t.outcome == "equal"))
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(TABLE_COLUMNS))
    counts = ["Rows in the source", "Rows restored"]
    return frame.astype(dict.fromkeys(counts, "Int64"))


def csv_file(frame: pd.DataFrame) -> str:
    """Return a DataFrame as CSV, safe to open in a spreadsheet."""
    return "".join(csv_text([str(name) for name in frame.columns], frame.itertuples(index=False, name=None)))


def _naive(at: object) -> pd.Timestamp:
    return pd.Timestamp(at).tz_convert("UTC").tz_localize(None)  # type: ignore[arg-type]
