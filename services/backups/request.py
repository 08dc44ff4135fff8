"""What can be asked of a backup."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from services.catalog.model import BackupType


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
    pin: bool = False
    force_reason: str = ""
    """Why blocking pre-checks are to be passed over; empty: they stop the run."""
    slot: str | None = None
    """Due time (ISO 8601) of the schedule's slot that it is taken for."""

    def to_params(self) -> dict[str, Any]:
        """Return the form that a run's row holds."""
        return asdict(self) | {"exclude_tables": list(self.exclude_tables)}

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> BackupRequest:
        """Return what ``to_params`` wrote."""
        known = {member.name: params[member.name] for member in fields(cls) if member.name in params}
        return cls(**(known | {"exclude_tables": tuple(params["exclude_tables"])}))
