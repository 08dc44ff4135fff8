"""One check of the list of checks: what is looked at, how it stands, and from when on it counts as wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

SubjectKind = Literal["database", "storage", "worker", "installation"]
Severity = Literal["ok", "warning", "unknown", "failure"]
Unit = Literal["s", "B", "%", ""]
"""As Nagios writes units: seconds, bytes, percent, a plain count."""

WORST_FIRST: tuple[Severity, ...] = ("failure", "unknown", "warning", "ok")
"""As in `backups status`: what nobody knows is worse than what is only late."""
SUBJECTS: tuple[SubjectKind, ...] = ("installation", "worker", "database", "storage")


@dataclass(frozen=True, order=True)
class Subject:
    """What a check is about. ``name`` is empty for the installation and the worker: there is one of each."""

    kind: SubjectKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


EXAMINATION = "examination"
"""The check that is there only when a rule could not be applied: what is missing is then not known to be well."""
INSTALLATION = Subject("installation")
WORKER = Subject("worker")


@dataclass(frozen=True)
class Measure:
    """The number that a check looks at, with its thresholds, for monitoring."""

    value: float
    unit: Unit = ""
    warning: float | None = None
    failure: float | None = None


@dataclass(frozen=True)
class HealthCheck:
    """What one check found. Stable names: ``name`` and ``subject`` together are its key."""

    name: str
    subject: Subject
    severity: Severity
    sentence: str
    """One sentence, with the threshold in it. Foreign text in it is not escaped."""
    hint: str = ""
    since: datetime | None = None
    """Since when it has been as it is; None where nobody knows."""
    measure: Measure | None = None
    count: int = 0
    """How many things are wrong, where that can grow: an alert that was acknowledged speaks again then."""
    told_by: str = ""
    """The key of a check that says this, too, as one of several: while that one fires, this opens no alert."""

    @property
    def key(self) -> str:
        """What tells this check from all others, now and later: ``backup_age:database/orders``."""
        return f"{self.name}:{self.subject.kind}/{self.subject.name}".rstrip("/")


@dataclass(frozen=True)
class HealthReport:
    """The whole list at one instant."""

    at: datetime
    checks: tuple[HealthCheck, ...]
    """Worst first, then by subject and name."""

    @property
    def worst(self) -> Severity:
        """The worst severity of all; an empty list is unknown, not well."""
        return self.checks[0].severity if self.checks else "unknown"

    def count(self, severity: Severity) -> int:
        """Return how many checks have this severity."""
        return sum(check.severity == severity for check in self.checks)


def make_report(at: datetime, checks: Iterable[HealthCheck]) -> HealthReport:
    """Given checks in any order, return the report."""
    return HealthReport(at, tuple(sorted(checks, key=_order)))


def _order(check: HealthCheck) -> tuple[int, int, str, str]:
    subject = check.subject
    return WORST_FIRST.index(check.severity), SUBJECTS.index(subject.kind), subject.name, check.name


def join_sentences(sentence: str, hint: str) -> str:
    """Return both on one line, with a stop between them where the first lacks one."""
    stop = "." if hint and sentence[-1:].isalnum() else ""
    return f"{sentence}{stop} {hint}".strip()


CHECK_WORDS: dict[str, str] = {
    "recovery_key": "Recovery key",
    "key_drill": "Drill of the recovery key",
    "object_lock": "Object lock",
    "backup_age": "Last good backup",
    "backup_run": "Last backup run",
    "slot": "Last slot",
    "budget": "Misses in 30 days",
    "restore_test": "Restore test",
    "restore_time": "Time to restore",
    "verification": "Verification",
    "corruption": "Corruption",
    "copies": "Copies",
    "storage_contents": "Contents",
    "backup_size": "Backup size",
    "backup_duration": "Backup duration",
    "other_runs": "Other runs",
    "paused": "Protection",
    "storage_room": "Room",
    "storage_reach": "Reach",
    "unnamed_storage": "Storages not in the settings",
    "worker": "Heartbeat",
    "settings": "Settings",
    "queue": "Queue",
    "queues": "Queues served",
    "folders": "Folder",
    "catalogue": "Catalogue",
    "notifications": "Notifications",
    "connection": "Connection",
    "access": "Access",
    "keys": "Keys",
    "wal_gap": "Gaps in the log",
    "wal_damage": "Damage to the log",
    "wal_delay": "Archiving of the log",
    "slot_lag": "Replication slot",
    "base_backup_age": "Last base backup",
    "read_only": "Read-only mode",
    "audit_log": "Audit log",
    "examination": "List of checks",
    "audit_anchor": "Anchor of the audit log",
}


def check_words(name: str) -> str:
    """Return what people call a check; a name that is not in the list speaks for itself."""
    return CHECK_WORDS.get(name) or name.replace("_", " ").capitalize()
