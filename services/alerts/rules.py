"""Which checks alert, and when. One table, beside that of the checks (``services.health.checks``).

A check that is not named here alerts when it warns or fails: what is forgotten must not be silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.health.model import Severity


@dataclass(frozen=True)
class AlertRule:
    """How one check alerts."""

    title: str
    """What the alert is called: in subjects of mails and on the page."""
    fires_on: frozenset[Severity] = frozenset({"warning", "failure"})
    after: timedelta = timedelta(0)
    """How long the check must have been so, by its ``since``, before it opens an alert."""
    covered_by: tuple[str, ...] = ()
    """Checks of the same subject that say a failure of this one as well: it opens no second alert while one fires."""


_ALSO_UNKNOWN = frozenset[Severity]({"warning", "failure", "unknown"})
_NEVER = frozenset[Severity]()

RULES: dict[str, AlertRule] = {
    # An RPO of a day and a daily backup meet for the minutes that the backup takes; that is no news.
    "backup_age": AlertRule("No recent backup", after=timedelta(hours=1)),
    "backup_run": AlertRule("Backup run failed"),
    "other_runs": AlertRule("Run failed"),
    "slot": AlertRule("Slot missed or late"),
    "budget": AlertRule("Budget of misses spent"),
    "restore_test": AlertRule("Restore test failed or overdue"),
    "restore_time": AlertRule("Restores take longer than the RTO"),
    "verification": AlertRule("Verification failed or overdue", covered_by=("corruption", "copies", "restore_test")),
    "corruption": AlertRule("Corruption found"),
    "copies": AlertRule("Copy missing"),
    "storage_contents": AlertRule("Storage looks empty"),
    "backup_size": AlertRule("Backup size out of the ordinary"),
    "backup_duration": AlertRule("Backup duration out of the ordinary"),
    "storage_reach": AlertRule("Storage cannot be reached", fires_on=_ALSO_UNKNOWN),
    "storage_room": AlertRule("Storage nearly full"),  # unknown room is said by storage_reach
    "unnamed_storage": AlertRule("Copies in a storage that the settings do not name"),
    # A worker that is started anew, for an update say, is silent for a moment.
    "worker": AlertRule("Worker silent", fires_on=_ALSO_UNKNOWN, after=timedelta(minutes=2)),
    "queue": AlertRule("Queue stuck"),
    "queues": AlertRule("Queue without a worker", after=timedelta(minutes=2)),
    "folders": AlertRule("Folder of several machines"),
    "connection": AlertRule("Database cannot be reached or backed up", fires_on=frozenset({"failure"})),
    "access": AlertRule("Storage cannot be used"),
    "keys": AlertRule("Keys do not fit", fires_on=frozenset({"failure"})),
    "wal_gap": AlertRule("Gap in the write-ahead log"),
    "wal_damage": AlertRule("Damage in the write-ahead log"),
    # A server that is away, or a worker that was started anew, samples nothing for some minutes.
    "wal_delay": AlertRule("Write-ahead log not archived in time", fires_on=_ALSO_UNKNOWN, after=timedelta(minutes=5)),
    "base_backup_age": AlertRule("No recent base backup", after=timedelta(hours=1)),
    "slot_lag": AlertRule("Replication slot holds back too much"),
    "read_only": AlertRule("Read-only mode still on"),
    "audit_log": AlertRule("Audit log was changed"),
    "examination": AlertRule("Checks could not be looked at"),
    "audit_anchor": AlertRule("Audit log not anchored"),
    "key_drill": AlertRule("Drill of the recovery key overdue"),
    "object_lock": AlertRule("Backups are not locked", fires_on=frozenset({"failure"})),
    # It is so by its settings, not by an event: the page, the doctor and the list of checks say it.
    "recovery_key": AlertRule("One key alone opens the backups", fires_on=_NEVER),
    # A message about messages that cannot be delivered would wait behind them; the page and the watchdog say it.
    "notifications": AlertRule("Messages are not delivered", fires_on=_NEVER),
    "catalogue": AlertRule("Catalogue out of reach", fires_on=_NEVER),
}


def rule_of(check: str) -> AlertRule:
    """Return how a check alerts."""
    return RULES.get(check) or AlertRule(check.replace("_", " ").capitalize())
