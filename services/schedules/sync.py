"""Bringing the catalogue's schedules up to what the settings define: at the start of a worker and of ``serve``.

No command does so: a page that has been open since before the settings changed, or a shell with others, knows nothing
of what the worker was told since. And what these settings do not name is not ended as long as a worker with other
settings was there in the last ten minutes: it may well name it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from services.catalog.duties import claim_duty, claimed_since
from services.installation import Installation
from services.schedules import jobs  # as a module: it imports the commands, which come here
from services.schedules.definitions import defined_schedules, next_version, was_ended
from services.schedules.model import ScheduleVersion

logger = logging.getLogger(__name__)

OTHERS_COUNT_FOR = timedelta(minutes=10)
"""How long settings count after a worker that has them was seen last; well above what clocks differ by."""
_SAID_EVERY = timedelta(seconds=30)
_DUTY = "settings:"


def known_schedules(inst: Installation) -> dict[str, ScheduleVersion]:
    """Return the schedules that this installation can have, also those that are off, as its settings define them."""
    defined = defined_schedules(inst.settings, inst.clock())
    return {name: version for name, version in defined.items() if version.job in jobs.JOBS}


def sync_schedules(inst: Installation) -> list[ScheduleVersion]:
    """Write a new version of each schedule whose definition in the settings has changed; return what was written.

    Several processes may do so at once: each version is written by one of them.
    """
    known, histories = known_schedules(inst), inst.catalog.schedules.all()
    _say(inst, known, every=timedelta(0))
    return _write(inst, known, histories, {*known, *_to_be_ended(inst, known, histories)})


def keep_schedules(inst: Installation, histories: Mapping[str, Sequence[ScheduleVersion]]) -> list[ScheduleVersion]:
    """Have others know that these settings are in use; end what nobody's name any more; return what was written.

    Asked by each worker again and again. Whatever was ended although these settings name it (their worker did not
    answer for a while) goes on as it was.
    """
    known = known_schedules(inst)
    if not _say(inst, known, every=_SAID_EVERY):
        return []
    ended = {name for name in known if histories.get(name) and was_ended(histories[name][-1])}
    return _write(inst, known, histories, {*ended, *_to_be_ended(inst, known, histories)})


def first_version(inst: Installation, schedule: str) -> None:
    """Write the first version of one schedule, as these settings define it, unless it has one or is off."""
    version = next_version((), known_schedules(inst)[schedule], inst.clock())
    if version is not None:
        inst.catalog.schedules.add(version)


def _say(inst: Installation, known: Mapping[str, ScheduleVersion], *, every: timedelta) -> bool:
    """Say that settings with these schedules are in use, unless it was said within ``every``."""
    return claim_duty(inst.catalog.engine, _name(known), by="schedules", every=every, now=inst.clock())


def _to_be_ended(
    inst: Installation, known: Mapping[str, ScheduleVersion], histories: Mapping[str, Sequence[ScheduleVersion]]
) -> set[str]:
    """Return what these settings do not name; nothing while others are in use, which may."""
    strange = set(histories) - set(known)
    now: datetime = inst.clock()
    if strange and claimed_since(inst.catalog.engine, _DUTY, now - OTHERS_COUNT_FOR, now) - {_name(known)}:
        return set()
    return strange


def _name(known: Iterable[str]) -> str:
    """Return the name under which settings with these schedules are known: workers that agree have the same."""
    return _DUTY + hashlib.sha256("\n".join(sorted(known)).encode()).hexdigest()[:24]


def _write(
    inst: Installation,
    known: Mapping[str, ScheduleVersion],
    histories: Mapping[str, Sequence[ScheduleVersion]],
    names: Iterable[str],
) -> list[ScheduleVersion]:
    written = []
    for name in sorted(names):
        history = histories.get(name, [])
        if history and history[-1].job not in jobs.JOBS:
            continue  # of another version of this product
        version = next_version(history, known.get(name), inst.clock())
        if version is not None and inst.catalog.schedules.add(version):
            when = f"{version.cron} {version.time_zone}" if version.cron else "off"
            logger.info("schedule %s: %s%s", name, when, ", paused" if version.paused else "")
            written.append(version)
    return written
