"""Starting what is due. Called every few seconds by each worker; together they start each slot's work once.

Only the newest due slot of a schedule is looked at. One that was missed while no worker ran is made up for, once,
however many there were, and also when its deadline has passed: a backup that is late is better than none. One that is
no longer needed, since another good backup has satisfied the slot meanwhile, is not taken; should that backup fail a
verification before the next slot, it is.

A run that failed is tried again while the slot's deadline holds: see ``services.schedules.retries``.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection
from datetime import datetime, timedelta

from services.catalog.slot_evidence import stored_backups
from services.errors import BackupsError
from services.installation import Installation
from services.schedules.history import current, slot_to_start
from services.schedules.jobs import JOBS, Occasion
from services.schedules.model import ACTOR, ScheduleVersion, Slot
from services.schedules.outcomes import judge
from services.schedules.retries import Retry, keys_of, next_retry
from services.schedules.sync import keep_schedules
from services.status import age

logger = logging.getLogger(__name__)

PROMPT = timedelta(minutes=5)
"""A run that is asked for later than this after its due time makes up for a missed one, and says so."""


def start_due_runs(inst: Installation, now: datetime | None = None) -> list[str]:
    """Ask for the work of every slot that is due by ``now`` and was not asked for yet, or whose run failed; return the
    ids of the runs.

    A job that cannot be asked for (there is nothing to test yet) is logged once, and tried again at the next call.
    """
    now = now or inst.clock()
    due = _due(inst, now)
    asked = inst.catalog.runs.by_idempotency_keys(key for _, slot in due for key in keys_of(slot))
    found = []
    for version, slot in due:
        run_id = None
        if slot.key not in asked:
            run_id = _start(inst, version, slot, now)
        elif (retry := next_retry(slot, asked)) is not None and retry.at <= now <= slot.deadline_at:
            run_id = _start(inst, version, slot, now, retry)
        if run_id is not None:
            found.append(run_id)
    return found


def _due(inst: Installation, now: datetime) -> list[tuple[ScheduleVersion, Slot]]:
    databases: Collection[str | None] = {None, *(database.name for database in inst.settings.databases)}
    found = []
    histories = inst.catalog.schedules.all()
    if keep_schedules(inst, histories):
        histories = inst.catalog.schedules.all()
    for history in histories.values():
        version, slot = current(history, now), slot_to_start(history, now)
        if version is not None and slot is not None and version.job in JOBS and version.database in databases:
            found.append((version, slot))
    return found


def _start(
    inst: Installation, version: ScheduleVersion, slot: Slot, now: datetime, retry: Retry | None = None
) -> str | None:
    late = now - slot.due
    reason = f"Due {slot.due:%Y-%m-%d %H:%M} UTC, started {age(late)} late." if late > PROMPT else ""
    key, reason = (slot.key, reason) if retry is None else (retry.key, retry.reason)
    try:
        if version.job == "backup" and _is_satisfied(inst, slot, now):
            return None
        run_id = JOBS[version.job](inst, Occasion(version, slot, ACTOR, reason, key))
    except BackupsError as error:
        _log_once(key, str(error))
        return None
    logger.info("schedule %s: slot of %s started as run %s", slot.schedule, slot.label, run_id)
    return run_id


def _is_satisfied(inst: Installation, slot: Slot, now: datetime) -> bool:
    assert slot.database is not None
    found = stored_backups(inst.catalog.engine, {slot.database: slot.due})
    [outcome] = judge([slot], found.get(slot.database, ()), now)
    return outcome.state in ("satisfied", "late")


@functools.lru_cache(maxsize=1024)
def _log_once(key: str, message: str) -> None:
    logger.warning("%s could not be started: %s", key, message)
