"""What a cleanup did, or would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from services.clock import isoformat
from services.retention.plans import PlannedBackup
from services.units import format_bytes

LISTED = 1000
"""So many backups a run's result lists; the catalogue's log of deletions has all of them."""

ItemOutcome = Literal["planned", "deleted", "failed", "skipped", "revived", "kept"]
_TOLD_FIRST: tuple[ItemOutcome, ...] = ("failed", "kept", "skipped", "revived", "deleted", "planned")


@dataclass(frozen=True)
class CleanupItem:
    """One backup of a cleanup."""

    id: str
    name: str
    database: str
    type: str
    finished_at: str
    bytes: int
    why: str
    """Why it goes: the planner's word, or ``by hand``."""
    tiers: tuple[str, ...] = ()
    """Of a deletion by hand: the tiers that lose it."""
    outcome: ItemOutcome = "planned"
    """``kept``: it was confirmed, and the plan keeps it since. ``skipped``: something stands against it now."""
    error: str = ""
    """Why it failed, was skipped or is kept."""

    @classmethod
    def of(cls, database: str, backup: PlannedBackup, why: str, **more: Any) -> CleanupItem:
        """Return the item of a planned backup."""
        finished_at = isoformat(backup.finished_at) or ""
        candidate = backup.candidate
        return cls(backup.id, backup.name, database, candidate.type, finished_at, candidate.bytes, why, **more)


@dataclass
class CleanupReport:
    """Everything that a cleanup did, or would do."""

    applied: bool
    items: list[CleanupItem] = field(default_factory=list)
    kept: int = 0
    """Backups that stay, of the databases that were looked at."""
    freed_bytes: int = 0

    def count(self, outcome: ItemOutcome) -> int:
        return sum(item.outcome == outcome for item in self.items)

    @property
    def planned_bytes(self) -> int:
        return sum(item.bytes for item in self.items if item.outcome == "planned")

    @property
    def outcome(self) -> str:
        """Say in a word how it went: ``planned``, ``nothing to delete``, ``deleted``, ``partly failed``."""
        if self.count("failed"):
            return "partly failed"
        if not self.applied:
            return "planned" if self.items else "nothing to delete"
        return "deleted" if self.count("deleted") else "nothing deleted" if self.items else "nothing to delete"

    @property
    def summary(self) -> str:
        """Return how it went in one sentence."""
        if not self.applied:
            return f"{_backups(self.count('planned'))} would go, {format_bytes(self.planned_bytes)}."
        parts = [f"{_backups(self.count('deleted'))} deleted, {format_bytes(self.freed_bytes)} freed"]
        for outcome, words in (
            ("failed", "could not be deleted"),
            ("skipped", "skipped"),
            ("kept", "kept since it was confirmed"),
            ("revived", "needed again and kept"),
        ):
            if number := self.count(outcome):  # type: ignore[arg-type]
                parts.append(f"{number:,} {words}")
        return "; ".join(parts) + "."

    def to_json(self) -> dict[str, Any]:
        """Return what the run's row keeps; of many backups the first ``LISTED``, those with trouble first."""
        listed = sorted(self.items, key=lambda item: _TOLD_FIRST.index(item.outcome))[:LISTED]
        return {
            "outcome": self.outcome,
            "reason": self.summary,
            "applied": self.applied,
            "backups": len(self.items),
            "bytes": sum(item.bytes for item in self.items),
            "deleted": self.count("deleted"),
            "failed": self.count("failed"),
            "skipped": self.count("skipped") + self.count("kept"),
            "revived": self.count("revived"),
            "kept": self.kept,
            "freed_bytes": self.freed_bytes,
            "items": [asdict(item) | {"tiers": list(item.tiers)} for item in listed],
        }


def add_windows(form: dict[str, Any], windows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the result of a cleanup with what became of the windows of point in time (``WindowReport.to_json``).

    Its word and its sentence are about both: a cleanup that deleted only files of the log has deleted something.
    """
    if not windows:
        return form
    files, freed = sum(each["files"] for each in windows), sum(each["bytes"] for each in windows)
    failed = [line for each in windows for line in each["failed"]]
    bases = [name for each in windows for name in each["bases"] if not any(line.startswith(name) for line in failed)]
    said = [f"{files:,} {'file' if files == 1 else 'files'} of the log deleted, {format_bytes(freed)}"] if files else []
    said += [f"{len(bases):,} base {'backup' if len(bases) == 1 else 'backups'} deleted"] if bases else []
    said += [f"{len(failed):,} {'thing' if len(failed) == 1 else 'things'} of the window failed"] if failed else []
    words = form["outcome"]
    if failed:
        words = "partly failed"
    elif said and words in ("nothing to delete", "nothing deleted"):
        words = "deleted"
    head = [form["reason"].rstrip(".")] if form["backups"] or not said else []
    return form | {
        "outcome": words,
        "reason": "; ".join([*head, *said]) + ".",
        "freed_bytes": form["freed_bytes"] + freed,
        "windows": [dict(each) for each in windows],
    }


def _backups(count: int) -> str:
    return f"{count:,} backup{'' if count == 1 else 's'}"
