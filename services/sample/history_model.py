"""The rows of the sample's simulated past, and what they are scaled by."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.catalog.deletions import Deletion
from services.catalog.model import Backup, LogLine, Run, Verification


@dataclass(frozen=True)
class Story:
    """What the past of one database was like. Days are counted back from today: 1 is yesterday."""

    days: int
    """How long it has been backed up."""
    grew_from: float
    """Its size on the first day, as a part of today's."""
    scheduled_at_hour: int
    last_restore_test: int
    """Restore tests were monthly until this day."""
    on_demand_every: int
    failures: dict[int, tuple[int, bool]] = field(default_factory=dict)
    """Day -> (index into FAILURES, whether somebody ran it again the same day)."""
    chance_of_failure: float = 0.012
    emergencies: dict[int, str] = field(default_factory=dict)
    """Day -> note of an emergency backup."""
    failed_tests: dict[int, str] = field(default_factory=dict)
    """Day -> reason of a restore test that failed; it was passed the next day."""
    untestable: dict[int, str] = field(default_factory=dict)
    shrunk: dict[int, float] = field(default_factory=dict)
    """Day -> what was left of the database when it was backed up: somebody had emptied a table."""


STORIES: dict[str, Story] = {
    "la_factoria": Story(
        days=372,
        grew_from=0.42,
        scheduled_at_hour=2,
        last_restore_test=24,
        on_demand_every=13,
        failures={11: (0, True), 19: (3, False), 96: (4, True), 151: (2, False), 150: (2, False), 149: (2, True)},
        emergencies={
            97: "Incident INC-118: wrong bulk update of enrolments",
            260: "Incident INC-074: disk errors on db-1",
        },
        failed_tests={176: "1 difference from the source: table public.quiz_results: 41,213 rows instead of 41,215"},
        untestable={327: "Extension pg_trgm is not installed on the scratch server."},
        shrunk={37: 0.55},
    ),
    "billing": Story(
        days=203,
        grew_from=0.55,
        scheduled_at_hour=3,
        last_restore_test=58,
        on_demand_every=31,
        failures={6: (1, False), 44: (0, True), 120: (4, False)},
    ),
}
"""la_factoria is in good order; nobody has tested billing for longer than its settings allow."""

FAILURES: tuple[tuple[str, str, str], ...] = (
    (
        "checking",
        "Cannot connect to {database}: the server has no free connection.",
        "Close idle sessions, or raise max_connections; try again later.",
    ),
    (
        "dumping",
        "pg_dump did not finish: it waited 2 min for a lock on a table that a migration held.",
        "See `backups preflight {database}` for the sessions that hold locks, or run it again after the migration.",
    ),
    (
        "dumping",
        "Storage local is full: no space left on the disk.",
        "Delete what is no longer needed, or give the storage more room; see `backups storage`.",
    ),
    (
        "dumping",
        "The worker that worked on it ended without a word; the run was found lost at the next start.",
        "Nothing half-stored was left. The next backup starts from the beginning.",
    ),
    (
        "dumping",
        "pg_dump did not finish: the server closed the connection unexpectedly.",
        "Look into the server's log for a restart or a crash at that time.",
    ),
)
"""Phase, error and hint of runs that failed; the fourth was lost."""
LOST = 3

PEOPLE = ("mara@la-factoria.example", "jonas@la-factoria.example", "ines@la-factoria.example")
SCHEDULE = "schedule"


@dataclass(frozen=True)
class Measured:
    """What the real first backup of a database was like; its past is scaled by this."""

    database: str
    storage: str
    further: tuple[str, ...]
    """The storages that hold a copy of each backup as well."""
    database_bytes: int
    plain_bytes: int
    stored_bytes: int
    backup_seconds: float
    restore_test_seconds: float
    server_version: str
    client_version: str
    recipients: tuple[str, ...]
    compression_level: int | None

    @classmethod
    def of(cls, backup: Backup, restore_test_seconds: float) -> Measured:
        """Return what a finished backup says."""
        return cls(
            database=backup.database,
            storage=backup.copies[0].storage,
            further=tuple(copy.storage for copy in backup.copies[1:]),
            database_bytes=backup.database_bytes,
            plain_bytes=backup.plain_bytes,
            stored_bytes=backup.stored_bytes,
            backup_seconds=max(0.5, backup.duration.total_seconds()),
            restore_test_seconds=restore_test_seconds,
            server_version=backup.server_version,
            client_version=backup.client_version,
            recipients=backup.recipients,
            compression_level=backup.compression_level,
        )


@dataclass
class History:
    """Rows for the catalogue, in the order in which they happened."""

    runs: list[Run] = field(default_factory=list)
    lines: list[tuple[str, LogLine]] = field(default_factory=list)
    """(run id, line)"""
    backups: list[Backup] = field(default_factory=list)
    verifications: list[Verification] = field(default_factory=list)
    deletions: list[Deletion] = field(default_factory=list)
