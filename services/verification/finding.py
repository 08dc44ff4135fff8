"""What one look at a stored copy found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from services.catalog.model import CopyState, Outcome
from services.errors import BackupsError, CorruptBackup, ObjectMissing, UntrustedManifest

BACKUP_IS_BAD = (ObjectMissing, CorruptBackup, UntrustedManifest)
"""Errors that are the stored copy's own fault. Every other one (storage away, key missing, cancelled) ends the attempt
and says nothing of the copy."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one level, in words and in figures."""

    outcome: Outcome
    reason: str
    detail: dict[str, Any] = field(default_factory=dict)
    """bytes, seconds, bytes_per_second, and what differed; JSON."""
    copy_state: CopyState | None = None
    """What is now known of the copy; None: nothing new."""
    scope: Literal["copy", "backup"] = "backup"
    """Of a failure: whether it condemns this copy alone, or the backup (see ``services.catalog.verdict``)."""

    def to_detail(self) -> dict[str, Any]:
        """Return the detail as a verification keeps it."""
        found = dict(self.detail)
        if self.copy_state is not None:
            found["copy_state"] = self.copy_state
        if self.outcome == "failed":
            found["scope"] = self.scope
        return found


def failed_by(error: BackupsError) -> Finding:
    """Given an error of BACKUP_IS_BAD, return the finding that condemns the copy with its words."""
    if isinstance(error, ObjectMissing):
        state: CopyState | None = "missing"
    elif isinstance(error, CorruptBackup):
        state = "damaged"
    else:
        state = None
    return Finding("failed", error.message, copy_state=state, scope="copy")


def compare_sizes_and_hashes(**pairs: tuple[object, object]) -> dict[str, dict[str, object]]:
    """Given ``name=(expected, found)``, return those that differ: name -> {"expected", "found"}."""
    return {
        name: {"expected": expected, "found": found} for name, (expected, found) in pairs.items() if expected != found
    }


def in_words(differing: dict[str, dict[str, object]]) -> str:
    """Return the differences as words: ``sha256 is ab12… instead of cd34…``."""
    return "; ".join(
        f"{name.replace('_', ' ')} is {_short(pair['found'])} instead of {_short(pair['expected'])}"
        for name, pair in differing.items()
    )


def throughput(size: int, seconds: float) -> dict[str, Any]:
    """Return bytes, seconds and bytes_per_second for a finding's detail."""
    return {
        "bytes": size,
        "seconds": round(seconds, 3),
        "bytes_per_second": round(size / seconds) if seconds > 0 else None,
    }


def _short(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    return text if len(text) <= 24 else text[:12] + "…"
