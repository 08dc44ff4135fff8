"""Changing schedules, and running one's job now. Each change is a version of its own, with who made it and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import cast

from services.commands.gate import permitted
from services.commands.submit import check_note
from services.errors import Busy, InputError
from services.installation import Installation
from services.names import unknown_name
from services.schedules import jobs, sync  # as modules: they import the commands
from services.schedules.cron import check_cron, check_time_zone
from services.schedules.model import ScheduleVersion
from services.settings.lengths import parse_duration

LONGEST_DEADLINE = timedelta(days=31)
_ATTEMPTS = 5


@permitted("schedule.change")
def set_schedule(
    installation: Installation,
    schedule: str,
    *,
    cron: str | None = None,
    time_zone: str | None = None,
    deadline: timedelta | None = None,
    actor: str,
    reason: str = "",
) -> ScheduleVersion:
    """Change when a schedule comes due, and return the version that is valid from now on; None leaves as it is.

    ``cron`` ``""`` or ``off`` ends it. It stays so until the settings change that same thing. Raise UnknownName,
    InputError for a cron line, zone or deadline that cannot be.
    """
    values: dict[str, object] = {}
    if cron is not None:
        values["cron"] = check_cron(cron)
    if time_zone is not None:
        values["time_zone"] = check_time_zone(time_zone)
    if deadline is not None:
        check_deadline(deadline)
        values["deadline"] = deadline
    return _change(installation, schedule, values, actor=actor, reason=reason)


def parse_deadline(text: str) -> timedelta:
    """Given ``4h`` or ``90min``, return that deadline. Raise InputError for what is none."""
    try:
        deadline = cast(timedelta, parse_duration(text))
    except ValueError as error:
        raise InputError(f"{text!r} is no length of time.", hint="Write a number and a unit: 4h, 90min.") from error
    check_deadline(deadline)
    return deadline


def check_deadline(deadline: timedelta) -> None:
    """Raise InputError for a deadline that is too short or too long."""
    if not timedelta(minutes=1) <= deadline <= LONGEST_DEADLINE:
        raise InputError("A deadline lies between 1 minute and 31 days.", hint="Write 4h, the default, or 90min.")


@permitted("schedule.change")
def pause_schedule(installation: Installation, schedule: str, *, actor: str, reason: str = "") -> ScheduleVersion:
    """Keep a schedule from coming due until it is resumed. Raise UnknownName, InputError when it never comes due."""
    if not _latest(installation, schedule).cron:
        raise InputError(f"{schedule} is off; there is nothing to pause.", hint="See `backups schedule list`.")
    return _change(installation, schedule, {"paused": True}, actor=actor, reason=reason)


@permitted("schedule.change")
def resume_schedule(installation: Installation, schedule: str, *, actor: str, reason: str = "") -> ScheduleVersion:
    """Let a paused schedule come due again, from the next due time on.

    Raise UnknownName, InputError when the settings pause its database.
    """
    defined = sync.known_schedules(installation).get(schedule)
    if defined is not None and defined.paused:
        raise InputError(
            f"{defined.database} is paused in the settings.",
            hint="Set paused = false there, and start the worker anew.",
        )
    return _change(installation, schedule, {"paused": False}, actor=actor, reason=reason)


@permitted("schedule.run")
def run_schedule(
    installation: Installation,
    schedule: str,
    *,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a schedule's job now, whenever it comes due, also while it is paused or off; return the run's id.

    Raise UnknownName, and what the job's own command raises.
    """
    check_note(reason)
    version = _latest(installation, schedule)
    occasion = jobs.Occasion(version, None, actor, reason or f"Schedule {schedule}, run now.", idempotency_key, queue)
    return jobs.JOBS[version.job](installation, occasion)


def _change(
    installation: Installation, schedule: str, values: dict[str, object], *, actor: str, reason: str
) -> ScheduleVersion:
    """Write a version with these values; nothing when it has them already."""
    check_note(reason)
    for _ in range(_ATTEMPTS):
        latest = _latest(installation, schedule)
        if latest.number == 0 and latest.cron:
            # No worker has started yet. What the settings said is kept, to be told from what a person wants.
            sync.first_version(installation, schedule)
            continue
        if all(getattr(latest, name) == value for name, value in values.items()):
            return latest
        version = replace(
            latest, number=latest.number + 1, valid_from=installation.clock(), source="person", actor=actor,
            reason=reason, defined=None, **values,  # type: ignore[arg-type]
        )  # fmt: skip
        if installation.catalog.schedules.add(version):
            return version
    raise Busy(f"{schedule} is being changed by others at this moment.", hint="Look at it, and try again.")


def _latest(installation: Installation, schedule: str) -> ScheduleVersion:
    """Return a schedule's newest version, or what the settings say of one that was never on. Raise UnknownName.

    What the catalogue holds is what is changed: this process's settings may be older than the worker's, or others.
    """
    known = sync.known_schedules(installation)
    if schedule not in known:
        raise unknown_name("schedule", schedule, known)
    history = installation.catalog.schedules.all().get(schedule)
    # One that was never on has no version yet; its first will be number 1.
    return history[-1] if history else replace(known[schedule], number=0)
