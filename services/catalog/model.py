"""The rows of the catalogue, as frozen dataclasses. Times are aware and UTC, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from services.storage.classes import is_frozen

RunKind = Literal[
    "backup", "verification", "restore_test", "restore", "adopt", "janitor", "health",
    "copy", "compress", "archive", "thaw", "cleanup", "base_backup", "point_test", "point_restore", "rotate",
]  # fmt: skip
RUN_WORDS: dict[RunKind, str] = {
    "backup": "Backup",
    "verification": "Verification",
    "restore_test": "Restore test",
    "restore": "Restore",
    "adopt": "Adoption of a file",
    "janitor": "Clean-up",
    "health": "Health check",
    "copy": "Copy",
    "compress": "Compression",
    "archive": "Move to cold storage",
    "thaw": "Thaw",
    "cleanup": "Retention cleanup",
    "base_backup": "Base backup",
    "point_test": "Restore test to a point in time",
    "point_restore": "Restore to a point in time",
    "rotate": "Change of keys",
}
"""What people call a kind of run."""
RunState = Literal["queued", "running", "finished", "failed", "cancelled", "lost"]
BackupType = Literal["scheduled", "on-demand", "emergency", "base"]
BackupState = Literal["finished", "deleting", "expired"]
"""``deleting``: its deletion was begun, and nobody knows yet how far it came; the next cleanup ends it."""
Trust = Literal["signed", "unsigned", "untrusted"]
Outcome = Literal["passed", "failed", "not testable"]
CopyState = Literal["stored", "missing", "damaged", "deleted", "copying", "failed", "unknown"]
"""``copying``: a further copy that is being made; ``failed``: one that could not be made, and is tried again;
``unknown``: it was stored in a storage that the settings do not name any more (``services.catalog.unnamed``)."""

MACHINES = ("schedule", "worker", "alerts")
"""Actors that are no person: what is refused to one of these, nobody sees."""
ACTIVE_STATES: tuple[RunState, ...] = ("queued", "running")
ENDED_STATES: tuple[RunState, ...] = ("finished", "failed", "cancelled", "lost")


@dataclass(frozen=True)
class Run:
    """One attempt to do something. The row exists before the work starts."""

    id: str
    kind: RunKind
    database: str | None
    backup_id: str | None
    """The backup that is worked on, or that the run made."""
    state: RunState
    actor: str
    reason: str
    params: dict[str, Any]
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    heartbeat_at: datetime | None = None
    attempt: int = 0
    worker: str | None = None
    """``host:pid`` of the process that works or worked on it."""
    phase: str = ""
    bytes_done: int = 0
    bytes_total: int | None = None
    """Expected bytes of the phase; None where nobody knows."""
    phase_started_at: datetime | None = None
    expected_seconds: float | None = None
    """Expected length of the whole run, from history."""
    cancel_requested_at: datetime | None = None
    cancel_requested_by: str | None = None
    error: str = ""
    hint: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE_STATES

    @property
    def was_refused(self) -> bool:
        """Whether it failed since what a person asked for was refused: that person was told, and nothing is broken."""
        return self.state == "failed" and bool(self.result.get("refused"))

    @property
    def duration(self) -> timedelta | None:
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at


@dataclass(frozen=True)
class LogLine:
    """One line of a run's log."""

    at: datetime
    level: Literal["info", "warning", "error"]
    message: str


@dataclass(frozen=True)
class Copy:
    """One stored object of a backup in one storage."""

    storage: str
    key: str
    location: str
    storage_class: str
    state: CopyState
    bytes: int
    etag: str
    checked_at: datetime | None
    error: str = ""
    """Why it could not be made, or made anew, the last time that was tried; empty when all is well."""
    attempts: int = 0
    """How often in a row that failed."""
    next_attempt_at: datetime | None = None
    """Not tried again by itself before this."""
    thaw_requested_at: datetime | None = None
    """When it was last asked to be thawed from cold storage; None: never, or that time is over."""
    thaw_tier: str = ""
    thawed_at: datetime | None = None
    """When it was first seen readable after that."""
    thawed_until: datetime | None = None
    """When the storage freezes it again."""

    def is_readable(self, now: datetime) -> bool:
        """Whether it can be read as it lies there: not frozen in cold storage, or thawed for longer than ``now``."""
        thawed = self.thawed_at is not None and self.thawed_until is not None and self.thawed_until > now
        return thawed or not is_frozen(self.storage_class)

    deletion_error: str = ""
    """Why the last attempt to delete it failed; empty when none was made, or it succeeded."""
    deletion_failed_at: datetime | None = None
    lock_mode: str = ""
    """``governance`` or ``compliance`` where the storage keeps anybody from deleting it (object lock); else empty."""
    locked_until: datetime | None = None

    def is_locked(self, now: datetime) -> bool:
        """Whether the storage refuses to delete it now."""
        return self.locked_until is not None and self.locked_until > now


@dataclass(frozen=True)
class Backup:
    """One finished, stored copy of a database at one instant."""

    id: str
    run_id: str | None
    """The run that made it; None when it is known from its manifest alone."""
    name: str
    database: str
    type: BackupType
    state: BackupState
    started_at: datetime
    finished_at: datetime
    snapshot_at: datetime
    """The instant that the backup holds."""
    database_bytes: int
    plain_bytes: int
    stored_bytes: int
    sha256: str
    """Of the stored bytes."""
    plain_sha256: str
    """Of the dump before compression and encryption."""
    format: str
    compression: str
    compression_level: int | None
    encryption: str
    recipients: tuple[str, ...]
    server_version: str
    client_version: str
    excluded: tuple[str, ...]
    pinned: bool
    note: str
    actor: str
    trust: Trust
    copies: tuple[Copy, ...]
    verification_level: str | None = None
    verification_at: datetime | None = None
    verification_passed: bool | None = None
    """Of the latest verification or restore test; *not testable* leaves these as they were."""
    proven_at: datetime | None = None
    """When its newest passed restore test ended; None: not proven."""
    expired_at: datetime | None = None
    adopted: bool = False
    """True for a file that somebody else dumped: what it left out of its source is not known."""
    sample: bool = False
    """True for simulated history of the sample environment."""
    physical: dict[str, Any] | None = None
    """Of a base backup: what ``services.pitr.base_model.BaseBackup`` reads; None for a logical one."""

    @property
    def duration(self) -> timedelta:
        return self.finished_at - self.started_at

    @property
    def is_partial(self) -> bool:
        return bool(self.excluded)

    @property
    def is_good(self) -> bool:
        """Finished, whole, believed, and not failed in a verification since (the design's word *good*), with a copy.

        Never said of a base backup: it is one of a whole server, and useless without the write-ahead log after it.
        """
        return self.is_sound and self.type != "base"

    @property
    def is_sound(self) -> bool:
        """What *good* says, of a backup of any type."""
        return (
            self.state == "finished"
            and not self.is_partial
            and not self.adopted
            and self.trust != "untrusted"
            and self.verification_passed is not False
            and any(copy.state == "stored" for copy in self.copies)
        )

    @property
    def unnamed_storages(self) -> tuple[str, ...]:
        """Storages with a copy of it that the settings do not name: what lies there nobody can read, or delete."""
        return tuple(copy.storage for copy in self.copies if copy.state == "unknown")

    @property
    def is_unknown(self) -> bool:
        """Whether what is left of it lies in storages that the settings do not name (SQL: ``backups.lies_unknown``)."""
        return bool(self.unnamed_storages) and not any(copy.state == "stored" for copy in self.copies)

    @property
    def is_proven(self) -> bool:
        """Whether a restore test proved it. One of a partial backup proves what that holds, and never the database;
        of what lies where nobody looks any more nothing is known."""
        return self.proven_at is not None and not self.is_partial and not self.is_unknown


@dataclass(frozen=True)
class Verification:
    """One check of a backup. A restore test is the one of level ``restore``."""

    id: str
    run_id: str | None
    backup_id: str
    database: str
    level: str
    storage: str
    outcome: Outcome
    reason: str
    """Why it failed or is not testable; what was seen when it passed."""
    started_at: datetime
    finished_at: datetime
    actor: str
    detail: dict[str, Any] = field(default_factory=dict)
    """Of a restore test: see ``services.restores.report.RestoreReport.to_json``."""
