"""What a schedule starts: for each job the command that asks for its run. A further job is one line in ``JOBS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from services.backups.request import BackupRequest
from services.catalog.backups import good
from services.catalog.schema import backups
from services.commands.backups import submit_backup
from services.commands.restores import submit_verification
from services.commands.retention import submit_cleanup
from services.commands.upkeep import submit_health, submit_janitor
from services.errors import UnknownName
from services.installation import Installation
from services.restores.pick import parse_month, pick_backup
from services.schedules.model import Job, ScheduleVersion, Slot


@dataclass(frozen=True)
class Occasion:
    """Why a job is started now: a slot of its schedule, or a person."""

    version: ScheduleVersion
    slot: Slot | None
    """None: a person wants it now."""
    actor: str
    reason: str
    key: str | None
    """The run's idempotency key."""
    queue: bool = True

    @property
    def database(self) -> str:
        """The database that the job is for."""
        assert self.version.database is not None, "this job is one of a database"
        return self.version.database

    @property
    def label(self) -> str | None:
        """The slot's due time, as a run's parameters hold it."""
        return None if self.slot is None else self.slot.label


def _backup(inst: Installation, occasion: Occasion) -> str:
    request = BackupRequest(
        occasion.database, type="on-demand" if occasion.slot is None else "scheduled", slot=occasion.label
    )
    return submit_backup(
        inst, request, actor=occasion.actor, reason=occasion.reason, idempotency_key=occasion.key, queue=occasion.queue
    )


def _restore_test(inst: Installation, occasion: Occasion) -> str:
    now = inst.clock()
    at = now if occasion.slot is None else occasion.slot.due
    pick = pick_backup(inst, occasion.database, month=parse_month("last", at), seed=occasion.label or now.isoformat())
    reason = " ".join(text for text in (occasion.reason, pick.remark) if text)
    return submit_verification(
        inst, pick.backup_id, "restore", actor=occasion.actor, reason=reason, idempotency_key=occasion.key,
        slot=occasion.label, queue=occasion.queue,
    )  # fmt: skip


def _verification(inst: Installation, occasion: Occasion) -> str:
    """Read the good backup that was looked at longest ago, as deep as the key at hand allows."""
    b = backups.c
    query = sa.select(b.id).where(b.database == occasion.database, good())
    query = query.order_by(sa.func.coalesce(b.verification_at, b.finished_at), b.id).limit(1)
    with inst.catalog.engine.connect() as connection:
        backup_id = connection.scalar(query)
    if backup_id is None:
        raise UnknownName(f"There is no good backup of {occasion.database} yet.", hint="Run `backups create`.")
    return submit_verification(
        inst, backup_id, "archive" if inst.settings.encryption_key else "checksum", actor=occasion.actor,
        reason=occasion.reason, idempotency_key=occasion.key, slot=occasion.label, queue=occasion.queue,
    )  # fmt: skip


def _janitor(inst: Installation, occasion: Occasion) -> str:
    return submit_janitor(
        inst, apply=True, actor=occasion.actor, reason=occasion.reason, idempotency_key=occasion.key,
        slot=occasion.label, queue=occasion.queue,
    )  # fmt: skip


def _health(inst: Installation, occasion: Occasion) -> str:
    return submit_health(
        inst, actor=occasion.actor, reason=occasion.reason, idempotency_key=occasion.key, slot=occasion.label,
        queue=occasion.queue,
    )  # fmt: skip


def _cleanup(inst: Installation, occasion: Occasion) -> str:
    return submit_cleanup(
        inst, apply=True, actor=occasion.actor, reason=occasion.reason, idempotency_key=occasion.key,
        slot=occasion.label, queue=occasion.queue,
    )  # fmt: skip


JOBS: dict[Job, Callable[[Installation, Occasion], str]] = {
    "backup": _backup,
    "restore_test": _restore_test,
    "verification": _verification,
    "janitor": _janitor,
    "health": _health,
    "cleanup": _cleanup,
}
"""Job -> function that asks for its run and returns the run's id. What is not here cannot be scheduled."""
