"""What can be asked of a backup."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from services.catalog.model import BackupType
from services.errors import InputError
from services.installation import Installation
from services.settings.model import MOST_JOBS

_PATTERNS = ("exclude_tables", "exclude_table_data")


@dataclass(frozen=True)
class BackupRequest:
    """A backup that somebody asks for. None stands for the database's setting."""

    database: str
    name: str | None = None
    """None: ``DATABASE_backup_YYYYMMDD_HHMMSS`` of the moment it starts."""
    note: str = ""
    type: BackupType = "on-demand"
    compression_level: int | None = None
    encrypt: bool | None = None
    exclude_tables: tuple[str, ...] = ()
    """pg_dump patterns, beside those of the settings."""
    exclude_table_data: tuple[str, ...] = ()
    """The same, of tables of which only the rows are left out."""
    jobs: int | None = None
    """Sessions that dump at the same time: 1 streams, 2 and more spool."""
    pin: bool = False
    force_reason: str = ""
    """Why blocking pre-checks are to be passed over; empty: they stop the run."""
    slot: str | None = None
    """Due time (ISO 8601) of the schedule's slot that it is taken for."""

    def to_params(self) -> dict[str, Any]:
        """Return the form that a run's row holds."""
        lists = {name: list(getattr(self, name)) for name in _PATTERNS}
        return asdict(self) | lists

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> BackupRequest:
        """Return what ``to_params`` wrote."""
        known = {member.name: params[member.name] for member in fields(cls) if member.name in params}
        return cls(**(known | {name: tuple(params.get(name, ())) for name in _PATTERNS}))


def jobs_of(installation: Installation, request: BackupRequest) -> int:
    """Return how many sessions dump: what was asked for, or the database's setting. Raise InputError."""
    asked = check_jobs(request.jobs)
    return installation.settings.database(request.database).jobs if asked is None else asked


def check_jobs(jobs: int | None) -> int | None:
    """Return the number; None is the database's setting. Raise InputError for one that is out of range."""
    if jobs is not None and not 1 <= jobs <= MOST_JOBS:
        raise InputError(
            f"{jobs} jobs are not possible.",
            hint=f"Use 1 (one stream, no disk needed) to {MOST_JOBS}; as many as the server has cores to spare.",
        )
    return jobs
