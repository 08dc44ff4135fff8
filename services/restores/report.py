"""The result of a restore: what was restored where, how long it took, and how it compares with the source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from services.catalog.model import Outcome
from services.clock import isoformat, parse_instant
from services.restores.comparison_model import Comparison

_NAMED = 3  # differences that the summary names; the rest is counted

_NOT_THE_REPORTS = ("summary", "rto_seconds", "copy_state", "scope", "stored_anew")
"""Beside the report in a verification's detail: for readers, and what was learned of the copy."""

Way = Literal["spooled", "streamed", ""]
ReportOutcome = Outcome | Literal["not compared"]
"""*Not compared*: a real restore made its database, and the comparison could not be made. Never a pass."""


@dataclass(frozen=True)
class RestoreReport:
    """One restore or restore test. Kept as JSON in ``Verification.detail``; times in seconds, sizes in bytes."""

    outcome: ReportOutcome
    backup_id: str
    backup_name: str
    database: str
    snapshot_at: datetime
    """The instant of the source with which the restored data is compared."""
    server: str
    """Where it was restored: ``embedded``, or ``user@host:port``."""
    server_version: str
    target: str
    """The database that was made: scratch (dropped since), or the real target."""
    way: Way
    """``spooled``: fetched to a local file, then restored in parallel; ``streamed``: straight into pg_restore."""
    jobs: int
    stored_bytes: int
    plain_bytes: int
    download_seconds: float
    """Fetching, decrypting and decompressing; 0 when streamed, where it is part of the restore."""
    restore_seconds: float
    compare_seconds: float
    total_seconds: float
    excluded: tuple[str, ...] = ()
    """What a partial backup left out."""
    failure: str = ""
    """Why there is nothing to compare: the restore failed, or cannot be held on this server."""
    notes: tuple[str, ...] = ()
    comparison: Comparison | None = None
    part: tuple[str, ...] = ()
    """What was asked for, when only a part of the backup was; never a proof of the whole."""
    left_out: tuple[str, ...] = ()
    """What belongs to the part and needs a table outside it."""
    thaw_seconds: float = 0.0
    """From asking for the thaw of a copy in cold storage until it could be read; 0 of any other."""

    @property
    def rto_seconds(self) -> float:
        """The measured RTO: from the stored object, which may have had to be thawed, to a restored database."""
        return self.thaw_seconds + self.download_seconds + self.restore_seconds

    @property
    def summary(self) -> str:
        """Return one sentence that says what was proven and what was not."""
        text = self._verdict()
        if self.excluded:
            text = f"Partial backup (without {_listed(self.excluded)}): {text}"
        if self.part:
            text = f"Part of the backup ({_listed(self.part)}), no proof of the whole: {text}"
        if self.left_out:
            text += f"; left out, since it needs a table outside the part: {_listed(self.left_out)}"
        return text

    def _verdict(self) -> str:
        if self.comparison is None:
            return self.failure
        found = self.comparison.differences()
        if found:
            more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            count = "1 difference" if len(found) == 1 else f"{len(found)} differences"
            return f"{count} from the source at {_instant(self.snapshot_at)}: {'; '.join(found[:_NAMED])}{more}"
        return _proof(self.comparison, self.snapshot_at)

    def to_json(self) -> dict[str, Any]:
        """Return the form for the catalogue and the check record; ``summary`` and ``rto_seconds`` are for readers."""
        return {
            "outcome": self.outcome,
            "summary": self.summary,
            "backup_id": self.backup_id,
            "backup_name": self.backup_name,
            "database": self.database,
            "snapshot_at": isoformat(self.snapshot_at),
            "server": self.server,
            "server_version": self.server_version,
            "target": self.target,
            "way": self.way,
            "jobs": self.jobs,
            "stored_bytes": self.stored_bytes,
            "plain_bytes": self.plain_bytes,
            "thaw_seconds": self.thaw_seconds,
            "download_seconds": self.download_seconds,
            "restore_seconds": self.restore_seconds,
            "compare_seconds": self.compare_seconds,
            "total_seconds": self.total_seconds,
            "rto_seconds": self.rto_seconds,
            "excluded": list(self.excluded),
            "part": list(self.part),
            "left_out": list(self.left_out),
            "failure": self.failure,
            "notes": list(self.notes),
            "comparison": None if self.comparison is None else self.comparison.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RestoreReport:
        """Return the report that ``to_json`` wrote. Raise KeyError, TypeError or ValueError for anything else."""
        values = {key: value for key, value in data.items() if key not in _NOT_THE_REPORTS}
        comparison = values["comparison"]
        values |= {
            "snapshot_at": parse_instant(values["snapshot_at"]),
            "excluded": tuple(values["excluded"]),
            "part": tuple(values.get("part", ())),
            "left_out": tuple(values.get("left_out", ())),
            "notes": tuple(values["notes"]),
            "comparison": None if comparison is None else Comparison.from_json(comparison),
        }
        return cls(**values)


def _proof(comparison: Comparison, at: datetime) -> str:
    """Say what an equal comparison proves, and name what it does not cover."""
    counted = comparison.count_only
    tables = [t for t in comparison.tables if t.outcome in ("equal", "count only")]
    hashed = sum(t.hash == "equal" for t in tables)
    what = f"{_number(len(tables), 'table')}, {_number(sum(t.actual_rows or 0 for t in tables), 'row')}"
    if not tables:
        text = f"no tables in the backup; every other object equals the source at {_instant(at)}"
    elif hashed == len(tables):
        text = f"{what}: every count and hash equals the source at {_instant(at)}"
    elif hashed:
        text = f"{what}: every count and {hashed} of {len(tables)} hashes equal the source at {_instant(at)}"
    else:
        text = f"{what}: every count equals the source at {_instant(at)}; contents were not compared"
    if counted and hashed:
        text += f"; count only: {_listed(counted)}"
    recomputed = [t.label for t in comparison.tables if t.outcome == "recomputed"]
    if recomputed:
        text += f"; computed anew: {_listed(recomputed)}"
    dependent = [t.label for t in comparison.tables if t.outcome == "depends on excluded"]
    dependent += [o.name for o in comparison.objects if o.outcome == "depends on excluded"]
    if dependent:
        text += f"; not restorable without the excluded tables: {_listed(list(dict.fromkeys(dependent)))}"
    return text


def _listed(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
