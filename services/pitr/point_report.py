"""The result of a restore to a point in time: what was reached, how it was shown, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.units import format_bytes, format_duration

_NAMED = 3
_LOCALE_SIGNS = ("locale is incompatible with operating system", "setlocale()", "install the missing locale")
"""In message, detail or hint of the server: one line of them is kept."""


@dataclass(frozen=True)
class DatabaseFound:
    """One database of the restored server."""

    name: str
    tables: int
    bytes: int
    rows: int | None = None
    """Of its tables, counted; None where they were not counted."""
    problem: str = ""
    """Why it could not be looked into; that may be this machine's fault (a locale that it lacks)."""
    uncounted: tuple[str, ...] = ()
    """The tables that were too large to be read: nothing is shown of their rows."""

    @property
    def lacks_locale(self) -> bool:
        """Whether the problem is one of this machine, and not of what was restored (postinit.c, CheckMyDatabase)."""
        return any(sign in self.problem for sign in _LOCALE_SIGNS)


@dataclass(frozen=True)
class PointReport:
    """One restore to a point, or test of it. Kept as JSON; times in seconds, sizes in bytes."""

    target: str
    base_id: str
    base_name: str
    into: str
    """The folder of a real restore; empty for a test, whose folder is gone."""
    server_version: str
    timeline: int
    """The new one, that begins at the point."""
    reached_lsn: str
    last_commit_at: str | None
    """When the last transaction ended that is in, by the source's clock and as its server writes it."""
    stopping: str
    """What the server said of where it stopped."""
    segments: int
    wal_bytes: int
    base_bytes: int
    """Of the data folder as it was laid out."""
    files: int
    fetch_seconds: float
    """Fetching the base backup, decrypting, unpacking and checking every file."""
    recovery_seconds: float
    """From the server's start to its promotion, the WAL's way from the storage included."""
    check_seconds: float
    databases: tuple[DatabaseFound, ...]
    pg_verifybackup: str
    """The version that looked at every file; empty where none is installed."""
    warning: str = ""
    """What is still to be done by hand, where the restore itself is complete."""

    @property
    def recovery_time(self) -> float:
        """The measured RTO in seconds: from the stored objects to a server that takes connections."""
        return self.fetch_seconds + self.recovery_seconds

    @property
    def summary(self) -> str:
        """Return one sentence that says what was reached and shown."""
        tables = sum(found.tables for found in self.databases)
        rows = sum(found.rows or 0 for found in self.databases)
        last = f"; its last transaction ended {self.last_commit_at}" if self.last_commit_at else ""
        text = (
            f"Reached {self.target} at {self.reached_lsn}{last}. {format_bytes(self.base_bytes)} in "
            f"{self.files:,} files and {self.segments:,} {'segment' if self.segments == 1 else 'segments'} of WAL "
            f"({format_bytes(self.wal_bytes)}) in {format_duration(self.recovery_time)}; {tables:,} tables, "
            f"{rows:,} rows counted"
        )
        troubled = [f"{found.name}: {found.problem}" for found in self.databases if found.problem]
        uncounted = [f"{found.name}: {table}" for found in self.databases for table in found.uncounted]
        if uncounted:
            more = f" and {len(uncounted) - _NAMED:,} more" if len(uncounted) > _NAMED else ""
            text += f". Too large to be read: {', '.join(uncounted[:_NAMED])}{more}"
        return f"{text}. Not looked into: {'; '.join(troubled[:_NAMED])}." if troubled else f"{text}."

    def to_json(self) -> dict[str, Any]:
        """Return the form for the catalogue; ``summary`` and ``recovery_time`` are for readers."""
        return asdict(self) | {
            "databases": [asdict(found) for found in self.databases],
            "summary": self.summary,
            "recovery_time": self.recovery_time,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PointReport:
        """Return the report that ``to_json`` wrote. Raise KeyError, TypeError for anything else."""
        values = {name: data[name] for name in cls.__dataclass_fields__ if name in data}  # older ones have fewer
        databases = (
            DatabaseFound(**found | {"uncounted": tuple(found.get("uncounted", ()))}) for found in values["databases"]
        )
        return cls(**values | {"databases": tuple(databases)})
