"""Bringing the catalogue's schedules up to what the settings define: at the start of a worker and of ``serve``."""

from __future__ import annotations

import logging

from services.installation import Installation
from services.schedules import jobs  # as a module: it imports the commands, which come here
from services.schedules.definitions import defined_schedules, next_version
from services.schedules.model import ScheduleVersion

logger = logging.getLogger(__name__)


def known_schedules(inst: Installation) -> dict[str, ScheduleVersion]:
    """Return the schedules that this installation can have, also those that are off, as its settings define them."""
    defined = defined_schedules(inst.settings, inst.clock())
    return {name: version for name, version in defined.items() if version.job in jobs.JOBS}


def sync_schedules(inst: Installation) -> list[ScheduleVersion]:
    """Write a new version of each schedule whose definition in the settings has changed; return what was written.

    Several processes may do so at once: each version is written by one of them.
    """
    known = known_schedules(inst)
    histories = inst.catalog.schedules.all()
    written = []
    for name in sorted({*known, *histories}):
        history = histories.get(name, [])
        if history and history[-1].job not in jobs.JOBS:
            continue  # of another version of this product
        version = next_version(history, known.get(name), inst.clock())
        if version is not None and inst.catalog.schedules.add(version):
            when = f"{version.cron} {version.time_zone}" if version.cron else "off"
            logger.info("schedule %s: %s%s", name, when, ", paused" if version.paused else "")
            written.append(version)
    return written
