"""What can be asked of an emergency backup."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from services.backups.request import BackupRequest, check_jobs
from services.errors import InputError
from services.names import unknown_name
from services.settings.model import DatabaseSettings
from services.units import format_limit

Sessions = Literal["end", "wait", "wait-or-stop"]
"""What becomes of the sessions that were there before and may still write: they are ended at once; waited for, then
ended; or waited for, and the emergency backup is given up when some are left."""
SESSIONS: tuple[Sessions, ...] = get_args(Sessions)
WAIT = timedelta(minutes=1)
START_WITHIN = timedelta(minutes=10)
"""How long after it was asked for an emergency backup may still stop writes; later it is made without."""
_LONGEST_WAIT = timedelta(hours=1)
_SHORTEST_LIMIT, _LONGEST_LIMIT = timedelta(minutes=1), timedelta(days=1)
MAX_REASON = 500


@dataclass(frozen=True)
class EmergencyRequest:
    """An emergency backup that somebody asks for."""

    database: str
    reason: str
    read_only: bool = True
    sessions: Sessions = "end"
    wait: timedelta = WAIT
    """How long sessions are waited for."""
    limit: timedelta | None = None
    """When read-only mode is released whatever happens; None: the database's ``read_only_limit``."""
    force_reason: str = ""
    """Why blocking pre-checks are to be passed over; empty: they stop the run."""

    jobs: int | None = None
    """Sessions that dump at the same time; None: the database's ``jobs``."""
    start_by: datetime | None = None
    """When it is too late for read-only mode: nobody expects writes to stop then. None: never."""

    def limit_of(self, database: DatabaseSettings) -> timedelta:
        """Return how long read-only mode may last."""
        return self.limit or database.read_only_limit

    def to_params(self) -> dict[str, Any]:
        """Return what the run's row holds: the parameters of a backup, and beside them those of read-only mode."""
        backup = BackupRequest(
            self.database, type="emergency", note=self.reason, force_reason=self.force_reason, jobs=self.jobs
        ).to_params()
        return backup | {
            "emergency": {
                "read_only": self.read_only,
                "sessions": self.sessions,
                "wait_seconds": self.wait.total_seconds(),
                "start_by": self.start_by.isoformat() if self.start_by else None,
                "limit_seconds": self.limit.total_seconds() if self.limit else None,
            }
        }

    @classmethod
    def from_params(cls, params: dict[str, Any], reason: str) -> EmergencyRequest:
        """Return what ``to_params`` wrote."""
        own = params["emergency"]
        return cls(
            database=params["database"],
            reason=reason,
            read_only=own["read_only"],
            sessions=own["sessions"],
            wait=timedelta(seconds=own["wait_seconds"]),
            limit=timedelta(seconds=own["limit_seconds"]) if own["limit_seconds"] else None,
            force_reason=params["force_reason"],
            jobs=params.get("jobs"),
            start_by=datetime.fromisoformat(own["start_by"]) if own.get("start_by") else None,
        )


def check_request(request: EmergencyRequest, database: DatabaseSettings) -> None:
    """Raise InputError, UnknownName for what cannot be asked for."""
    check_jobs(request.jobs)
    if not request.reason.strip():
        raise InputError("An emergency backup needs a reason.", hint="One line, for whoever looks at it later.")
    if len(request.reason) > MAX_REASON:
        raise InputError(f"The reason has {len(request.reason):,} characters.", hint=f"Use at most {MAX_REASON}.")
    if request.sessions not in SESSIONS:
        raise unknown_name("way with sessions", request.sessions, SESSIONS)
    if not timedelta(0) <= request.wait <= _LONGEST_WAIT:
        raise InputError(
            f"Sessions cannot be waited for {format_limit(request.wait)}.", hint="Use up to an hour: 60s, 5min."
        )
    if request.limit is not None and not _SHORTEST_LIMIT <= request.limit <= _LONGEST_LIMIT:
        raise InputError(
            f"A limit of {format_limit(request.limit)} is out of range.", hint="Use 1min to 1d; 30min is usual."
        )
    if request.read_only and request.sessions != "end" and request.wait >= request.limit_of(database):
        raise InputError(
            f"Read-only mode would end after {format_limit(request.limit_of(database))}, while sessions are still "
            f"waited for, for {format_limit(request.wait)}.",
            hint="Wait less, or give it a longer limit.",
        )
