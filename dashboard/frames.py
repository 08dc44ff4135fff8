"""DataFrames for tables, each with a documented column schema. Pure; nothing here knows Streamlit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from dashboard.format import duration, naive, size
from dashboard.retention_frames import badges, until_words
from services.catalog.inventory import InventoryRow
from services.catalog.summaries import CheckRow
from services.csv_export import csv_text
from services.printable import visible
from services.restores.comparison_model import DIFFERENCES, Comparison
from services.retention.planner import Decision

INVENTORY_COLUMNS = (
    "id", "Taken (UTC)", "Database", "State", "Proof", "Size", "Name", "Kept by", "Kept until (UTC)", "Type", "Took",
    "Copies", "Stored in", "Note",
)  # fmt: skip
"""First what tells backups apart and how each stands: a phone shows as far as the state."""
HISTORY_COLUMNS = ("id", "Ended (UTC)", "Outcome", "Level", "Took", "Storage", "Backup", "What was found", "By")
TABLE_COLUMNS = ("Table", "Outcome", "Rows in the source", "Rows restored", "Content", "Remarks")


def state_words(backup: InventoryRow) -> str:
    """Return the word for a backup's state, with a sign of its own."""
    if backup.state == "expired":
        return "– expired"
    if backup.state == "deleting":
        return "✕ half deleted"
    refused = " · deletion failed" if backup.deletion_failed else ""
    if backup.trust == "untrusted":
        return f"⚠ untrusted{refused}"
    if backup.verification_passed is False:
        return f"✕ failed verification{refused}"
    if backup.is_unknown:
        return f"? in {backup.unnamed}, not in the settings{refused}"
    if not backup.storages:
        return f"✕ no copy left{refused}"
    if backup.adopted:
        return f"▖ adopted{refused}"
    unsigned = backup.trust == "unsigned"
    if backup.type == "base":
        return f"■ base{' · unsigned' if unsigned else ''}{refused}"
    word = "▖ partial" if backup.is_partial else "⚠ good" if unsigned else "✓ good"
    return f"{word}{' · unsigned' if unsigned else ''}{refused}"


def proof_words(backup: InventoryRow) -> str:
    """Return how far a backup was verified."""
    if backup.is_unknown:
        return "? not known"
    if backup.proven_at is not None and backup.is_partial:
        return "▖ partial: what it holds restores"
    if backup.is_proven:
        return f"◆ proven {backup.proven_at:%Y-%m-%d}"
    if backup.verification_level is None:
        return "? not verified"
    if not backup.verification_passed:
        return f"✕ {backup.verification_level} failed"
    return f"{backup.verification_level} passed"


def copies_words(backup: InventoryRow, wanted: int) -> str:
    """Return how many of the wanted copies are stored, with a sign where some are not; a dash for what has expired."""
    if backup.state == "expired":
        return "–"
    sign = "✓" if backup.copies >= wanted else "✕" if backup.copies == 0 else "▖"
    return f"{sign} {backup.copies} of {max(wanted, backup.copies)}"


def inventory_frame(
    backups: Iterable[InventoryRow], decisions: Mapping[str, Decision], *, wanted_copies: Mapping[str, int]
) -> pd.DataFrame:
    """Return one row a backup, with INVENTORY_COLUMNS. ``decisions``: by id, what becomes of those that are stored.

    ``Taken (UTC)`` is the snapshot's instant (naive, UTC), ``Kept by`` a list of badges, ``Size`` stored bytes,
    ``Took`` seconds, the rest text. ``wanted_copies``: by database, in how many storages a backup is to be; 1 where it
    is not named.
    """
    rows = [
        (
            backup.id, naive(backup.snapshot_at), backup.database, state_words(backup), proof_words(backup),
            backup.stored_bytes, backup.name, badges(decisions.get(backup.id)), until_words(decisions.get(backup.id)),
            backup.type, backup.duration.total_seconds(), copies_words(backup, wanted_copies.get(backup.database, 1)),
            backup.storages, visible(backup.note),
        )
        for backup in backups
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(INVENTORY_COLUMNS))


def history_frame(checks: Iterable[CheckRow]) -> pd.DataFrame:
    """Return one row a verification, with HISTORY_COLUMNS; ``Took`` is seconds."""
    signs = {"passed": "✓ passed", "failed": "✕ failed", "not testable": "? not testable"}
    rows = [
        (
            v.id, naive(v.finished_at), signs[v.outcome], "restore test" if v.level == "restore" else v.level,
            (v.finished_at - v.started_at).total_seconds(), v.storage, v.backup_name, " ".join(v.reason.split()),
            v.actor,
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


def in_words(frame: pd.DataFrame, *, sizes: Iterable[str] = (), durations: Iterable[str] = ()) -> Styler:
    """Return a table whose columns of bytes and of seconds read as everywhere else, and still sort as numbers."""
    formats: dict[Hashable, Callable[[Any], str]] = dict.fromkeys(sizes, size) | dict.fromkeys(durations, duration)
    return frame.style.format({name: _or_nothing(words) for name, words in formats.items()})


def _or_nothing(words: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: words(None if pd.isna(value) else value)


def csv_file(frame: pd.DataFrame) -> str:
    """Return a DataFrame as CSV, safe to open in a spreadsheet."""
    return "".join(csv_text([str(name) for name in frame.columns], frame.itertuples(index=False, name=None)))
