"""One stream or a parallel dump: what each would take, by earlier backups, and which of them is proposed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from services.catalog.model import Backup
from services.installation import Installation
from services.settings.model import DatabaseSettings
from services.units import format_bytes, format_duration

PARALLEL_FROM = 10 * 10**9
"""From this size on a parallel dump is proposed where no history tells better: below, one stream takes minutes and no
disk."""
PROPOSED_JOBS = 4
HISTORY = 10

Method = Literal["stream", "parallel"]


@dataclass(frozen=True)
class Expected:
    """What one method takes. None: no earlier backup of the method tells."""

    seconds: float | None
    backups: int
    """So many earlier ones it is expected from."""


@dataclass(frozen=True)
class MethodChoice:
    """Both methods, and the proposal."""

    stream: Expected
    parallel: Expected
    proposed: Method
    jobs: int
    """With which the proposal is made."""
    why: str

    def describe(self) -> str:
        """Return both in a sentence."""
        return f"One stream: {_said(self.stream)}; parallel: {_said(self.parallel)}. {self.why}"


def choose_method(
    installation: Installation, database: DatabaseSettings, database_bytes: int, excluded: Sequence[str]
) -> MethodChoice:
    """Return what is proposed for a database of this size, from its latest backups with the same exclusions."""
    history = [
        backup
        for backup in installation.catalog.backups.list(database=database.name, limit=5 * HISTORY)
        if set(backup.excluded) == set(excluded) and backup.database_bytes > 0 and not backup.adopted
    ]
    stream = _expected([b for b in history if b.format == "custom"], database_bytes)
    parallel = _expected([b for b in history if b.format == "directory"], database_bytes)
    jobs = max(database.jobs, PROPOSED_JOBS)
    if stream.seconds is not None and parallel.seconds is not None:
        proposed: Method = "parallel" if parallel.seconds < stream.seconds else "stream"
        return MethodChoice(stream, parallel, proposed, jobs if proposed == "parallel" else 1, f"Faster: {proposed}.")
    limit = format_bytes(PARALLEL_FROM)
    if database_bytes >= PARALLEL_FROM:
        return MethodChoice(
            stream, parallel, "parallel", jobs, f"From {limit} on a parallel dump is proposed; compare them once."
        )
    return MethodChoice(stream, parallel, "stream", 1, f"Below {limit} one stream is proposed: it needs no disk.")


def _expected(history: Sequence[Backup], database_bytes: int) -> Expected:
    latest = history[:HISTORY]
    if not latest:
        return Expected(None, 0)
    pace = median(backup.duration.total_seconds() / backup.database_bytes for backup in latest)
    return Expected(round(pace * database_bytes, 1), len(latest))


def _said(expected: Expected) -> str:
    if expected.seconds is None:
        return "no history"
    of = "1 backup" if expected.backups == 1 else f"{expected.backups} backups"
    return f"about {format_duration(expected.seconds)} (from {of})"
