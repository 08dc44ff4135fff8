"""What the retention policy makes of the backups that there are: the read model of pages, command line and cleanup."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from services.installation import Installation
from services.retention.live import LiveBackup, load_live
from services.retention.planner import Candidate, Decision, plan
from services.retention.policy import RetentionPolicy, Tier


@dataclass(frozen=True, slots=True)
class PlannedBackup:
    """A backup, and what becomes of it."""

    name: str
    candidate: Candidate
    decision: Decision
    deletion_failed_at: datetime | None

    @property
    def id(self) -> str:
        return self.candidate.id

    @property
    def finished_at(self) -> datetime:
        assert self.candidate.finished_at is not None  # every backup that the catalogue lists has ended
        return self.candidate.finished_at


@dataclass(frozen=True)
class DatabasePlan:
    """What becomes of the backups of one database."""

    database: str
    policy: RetentionPolicy
    at: datetime
    """The instant that was planned for."""
    backups: tuple[PlannedBackup, ...]
    """Those that have not expired, the newest first."""

    @cached_property
    def going(self) -> tuple[PlannedBackup, ...]:
        """What the next cleanup deletes, the oldest first."""
        return tuple(backup for backup in reversed(self.backups) if not backup.decision.keep)

    @cached_property
    def kept(self) -> tuple[PlannedBackup, ...]:
        """What stays, the newest first."""
        return tuple(backup for backup in self.backups if backup.decision.keep)

    @cached_property
    def failing(self) -> tuple[PlannedBackup, ...]:
        """What could not be deleted when it was last tried, the newest first."""
        return tuple(backup for backup in self.backups if backup.deletion_failed_at is not None)

    def in_tier(self, tier: Tier) -> tuple[PlannedBackup, ...]:
        """Return the backups that a tier keeps, the newest first."""
        return tuple(backup for backup in self.kept if tier in backup.decision.tiers)


def total_bytes(backups: Iterable[PlannedBackup]) -> int:
    """Return what the copies of these backups take, in all storages."""
    return sum(backup.candidate.bytes for backup in backups)


def load_plans(installation: Installation, databases: Collection[str] | None = None) -> tuple[DatabasePlan, ...]:
    """Return the plan of each configured database (or of those named), in the order of the settings. One query."""
    chosen = [d for d in installation.settings.databases if databases is None or d.name in databases]
    live = load_live(installation.catalog.engine, [database.name for database in chosen])
    now = installation.clock()
    return tuple(
        make_plan(database.name, live, installation.settings.retention_of(database), now) for database in chosen
    )


def make_plan(database: str, live: Iterable[LiveBackup], policy: RetentionPolicy, now: datetime) -> DatabasePlan:
    """Given backups, the newest first, return the plan for those of one database."""
    own = [backup for backup in live if backup.candidate.database == database]
    decisions = plan([backup.candidate for backup in own], policy, now)
    return DatabasePlan(
        database,
        policy,
        now,
        tuple(
            PlannedBackup(backup.name, backup.candidate, decision, backup.deletion_failed_at)
            for backup, decision in zip(own, decisions, strict=True)
        ),
    )


def load_decisions(installation: Installation, databases: Collection[str]) -> dict[str, Decision]:
    """Return by id what becomes of the backups of these databases; none for databases without a policy."""
    return {backup.id: backup.decision for plan in load_plans(installation, databases) for backup in plan.backups}
