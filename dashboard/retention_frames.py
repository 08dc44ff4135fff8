"""DataFrames for the retention page, each with a documented column schema. Pure; nothing here knows Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import pandas as pd

from dashboard.format import NOTHING, naive
from services.catalog.deletions import Deletion
from services.printable import visible
from services.retention.planner import Decision
from services.retention.plans import DatabasePlan, PlannedBackup, total_bytes
from services.retention.words import GOING_WORDS, policy_short

PLAN_COLUMNS = ("Database", "Policy", "At least", "Kept", "Kept size", "Goes next", "To be freed", "Deletion failed")
GOING_COLUMNS = ("id", "Name", "Finished (UTC)", "Type", "Size", "Why", "Last attempt")
FATE_COLUMNS = ("Name", "Finished (UTC)", "Fate", "Kept by", "Kept until", "Today's policy", "Size")
DELETION_COLUMNS = ("Deleted (UTC)", "Backup", "Outcome", "Why", "Size", "Storage", "By", "Note", "Error", "Database",
                    "Key")  # fmt: skip
_OUTCOMES = {"deleted": "✓ deleted", "failed": "✕ failed", "begun": "… begun", "interrupted": "⚠ interrupted"}
_REASONS: dict[str, str] = {word: said for word, said in GOING_WORDS.items() if word}
GOES = "goes"
"""The badge of a backup that the next cleanup deletes."""


def badges(decision: Decision | None) -> list[str]:
    """Return the badges of a backup: what keeps it, or that it goes; none for one that nobody plans for."""
    if decision is None or decision.going == "expired":
        return []
    return list(decision.reasons) or [GOES]


def until_words(decision: Decision | None) -> str:
    """Return until when a backup is kept, in UTC: a minute, ``next cleanup``, or ``open`` where nobody can know."""
    if decision is None or decision.going == "expired":
        return NOTHING
    if not decision.keep:
        return "next cleanup"
    return "open" if decision.expires_at is None else f"{decision.expires_at:%Y-%m-%d %H:%M}"


def plans_frame(plans: Iterable[DatabasePlan]) -> pd.DataFrame:
    """Return one row a database, with PLAN_COLUMNS; sizes are bytes, the policy a text, the rest counts."""
    rows = [
        (
            plan.database,
            policy_short(plan.policy),
            plan.policy.minimum,
            len(plan.kept),
            total_bytes(plan.kept),
            len(plan.going),
            total_bytes(plan.going),
            len(plan.failing),
        )
        for plan in plans
    ]
    return pd.DataFrame(rows, columns=list(PLAN_COLUMNS))


def going_frame(backups: Iterable[PlannedBackup]) -> pd.DataFrame:
    """Return one row for each backup that goes, with GOING_COLUMNS; ``Size`` is bytes in all storages."""
    rows = [
        (
            backup.id, backup.name, naive(backup.finished_at), backup.candidate.type, backup.candidate.bytes,
            GOING_WORDS[backup.decision.going],
            f"✕ failed {backup.deletion_failed_at:%Y-%m-%d}" if backup.deletion_failed_at else "",
        )
        for backup in backups
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(GOING_COLUMNS))


def fate_frame(backups: Sequence[PlannedBackup], today: Sequence[Decision]) -> pd.DataFrame:
    """Return what another policy makes of each backup, with FATE_COLUMNS; ``today``: what the present one does."""
    rows = [
        (
            backup.name, naive(backup.finished_at), "✓ stays" if backup.decision.keep else "– goes",
            badges(backup.decision), until_words(backup.decision), _change(backup.decision, now),
            backup.candidate.bytes,
        )
        for backup, now in zip(backups, today, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(FATE_COLUMNS))


def _change(decision: Decision, today: Decision) -> str:
    if decision.keep == today.keep:
        return "the same"
    return "would delete it" if decision.keep else "would keep it"


def deletions_frame(log: Iterable[Deletion]) -> pd.DataFrame:
    """Return one row for each attempt to delete a copy, the newest first, with DELETION_COLUMNS."""
    rows = [
        (
            naive(row.at), row.backup_name, _OUTCOMES[row.outcome], _REASONS.get(row.reason, row.reason), row.bytes,
            row.storage, row.actor, visible(row.note), visible(row.error), row.database, row.key,
        )
        for row in log
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(DELETION_COLUMNS))


def as_csv(frame: pd.DataFrame) -> str:
    """Return a frame as CSV, its text such that no spreadsheet takes any of it for a formula."""
    return frame.map(_csv_cell).to_csv(index=False, lineterminator="\r\n")


def _csv_cell(value: object) -> object:
    if not isinstance(value, str):
        return value.isoformat() if isinstance(value, datetime) else value
    text = "".join(character if character.isprintable() else " " for character in value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") or value[:1] != text[:1] else text
