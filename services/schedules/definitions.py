"""The schedules that the settings define, and the versions that follow when they change.

What a person changed (a pause, another time) stays until the settings change that same thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.schedules.model import Job, ScheduleVersion
from services.settings.model import DatabaseSettings, Settings

UPKEEP_DEADLINE = timedelta(hours=24)
"""When upkeep that was due counts as not done: a day, whatever its schedule."""
SETTINGS = "settings"
ENDED = "The settings name it no longer."
_UNITS = (("cron", "time_zone"), ("deadline_seconds",), ("paused",), ("params",))
"""What is compared, and taken over, as one thing: a time means nothing without its zone."""


def schedule_name(job: Job, database: str | None = None) -> str:
    """Return the name of a job's schedule: ``la_factoria/backup``, or ``janitor``."""
    return job if database is None else f"{database}/{job}"


def defined_schedules(settings: Settings, now: datetime) -> dict[str, ScheduleVersion]:
    """Return what the settings define at ``now``, by name, as first versions; those that are switched off, too."""
    found = [version for database in settings.databases for version in _of_database(database, now)]
    upkeep: dict[Job, str] = {
        "cleanup": settings.cleanup_schedule,
        "janitor": settings.janitor_schedule,
        "health": settings.health_schedule,
    }
    found += [_version(job, None, line, "UTC", UPKEEP_DEADLINE, now) for job, line in upkeep.items()]
    return {version.schedule: version for version in found}


def _of_database(database: DatabaseSettings, now: datetime) -> list[ScheduleVersion]:
    zone = database.schedule_time_zone
    lines: list[tuple[Job, str, timedelta]] = [
        ("backup", database.schedule, database.schedule_deadline),
        ("restore_test", database.restore_test_schedule, UPKEEP_DEADLINE),
        ("verification", database.verification_schedule, UPKEEP_DEADLINE),
    ]
    return [_version(job, database.name, line, zone, limit, now, database.paused) for job, line, limit in lines]


def _version(
    job: Job, database: str | None, line: str, zone: str, limit: timedelta, now: datetime, paused: bool = False
) -> ScheduleVersion:
    made = ScheduleVersion(
        schedule=schedule_name(job, database), number=1, database=database, job=job, cron=line, time_zone=zone,
        deadline=limit, valid_from=now, source="settings", actor=SETTINGS, paused=paused,
    )  # fmt: skip
    return replace(made, defined=_definition(made))


def next_version(
    history: Sequence[ScheduleVersion], wanted: ScheduleVersion | None, now: datetime
) -> ScheduleVersion | None:
    """Given a schedule's versions and what the settings define, return the version to be written, or None.

    ``wanted`` is None when the settings know the schedule no longer: it ends. Named again it goes on as it was before,
    with what persons had changed.
    """
    if not history:
        return wanted if wanted is not None and wanted.cron else None
    ordered = sorted(history, key=lambda v: v.number)
    latest = ordered[-1]
    if wanted is None:
        before = _last_definition(ordered)
        if not latest.cron and (before is None or not before["cron"]):
            return None
        return _written(replace(latest, cron=""), now, reason=ENDED)
    if was_ended(latest):
        again = replace(_follow(ordered[:-1], wanted) or ordered[-2], number=latest.number)
        return replace(_written(again, now, "The settings name it again."), defined=_definition(wanted))
    changed = _follow(ordered, wanted)
    if changed is not None:
        return replace(_written(changed, now), defined=_definition(wanted))
    if latest.valid_from > now:
        again = replace(latest, reason="The clock was ahead when it was changed last.")
        return replace(again, number=latest.number + 1, valid_from=now)
    return None


def was_ended(version: ScheduleVersion) -> bool:
    """Whether this version ended a schedule because the settings named it no longer."""
    return version.source == "settings" and version.reason == ENDED and not version.cron


def _follow(versions: Sequence[ScheduleVersion], wanted: ScheduleVersion) -> ScheduleVersion | None:
    """Return the last version with what the settings have changed since they spoke last; None where they have not."""
    defined, before = _definition(wanted), _last_definition(versions)
    if before is None:  # only persons have spoken so far: as if the settings had said that it is off
        before = defined | {"cron": ""}
    changed = [unit for unit in _UNITS if any(before.get(name) != defined[name] for name in unit)]
    return _with(versions[-1], {name: defined[name] for unit in changed for name in unit}) if changed else None


def _written(version: ScheduleVersion, now: datetime, reason: str = "") -> ScheduleVersion:
    """Return a version of the settings' that follows upon this one, with its values."""
    made = replace(version, number=version.number + 1, valid_from=now, source="settings", actor=SETTINGS, reason=reason)
    return replace(made, defined=_definition(made))


def _definition(version: ScheduleVersion) -> dict[str, Any]:
    return {
        "cron": version.cron,
        "time_zone": version.time_zone,
        "deadline_seconds": int(version.deadline.total_seconds()),
        "paused": version.paused,
        "params": version.params,
    }


def _last_definition(history: Sequence[ScheduleVersion]) -> dict[str, Any] | None:
    """Return what the settings said last; None where they never did."""
    said = [version for version in history if version.defined is not None]
    return max(said, key=lambda v: v.number).defined if said else None


def _with(version: ScheduleVersion, values: dict[str, Any]) -> ScheduleVersion:
    values = dict(values)
    if "deadline_seconds" in values:
        values["deadline"] = timedelta(seconds=values.pop("deadline_seconds"))
    return replace(version, **values)
