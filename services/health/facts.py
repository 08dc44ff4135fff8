"""Everything that the checks look at, read once: a fixed number of queries, whatever the catalogue holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.catalog import summaries
from services.catalog.copies import count_never_begun
from services.catalog.model import Run
from services.catalog.read_only_modes import ReadOnlyMode
from services.catalog.summaries import StorageUse
from services.catalog.workers import Worker
from services.health.damage import Corruption, corruption
from services.health.queries import (
    GoodOne,
    Newest,
    last_runs,
    newest_backups,
    recent_good,
)
from services.health.used_since import LastProbes, last_probes
from services.installation import Installation
from services.notify.outbox import Delivery, delivery
from services.overview import StorageRoom, load_rooms, load_statuses
from services.settings.model import AlertSettings
from services.slo import Slo, load_slo
from services.status import DatabaseStatus, WorkerSigns

RUNS_SPEAK_FOR = timedelta(days=35)
"""How long the failure of a run that nobody repeated since counts: what happens monthly is seen once more."""

COPIES_WITHIN = timedelta(hours=24)
"""How long after its backup a further copy must have been begun at the latest."""
COPIES_SPEAK_FOR = timedelta(days=31)
"""How old a backup is of which nobody says any more that a copy was never begun; `backups storage` says it always."""


@dataclass(frozen=True)
class Facts:
    """What is known at ``now``. A rule that needs more asks ``installation`` with one query of its own."""

    installation: Installation
    now: datetime
    statuses: tuple[DatabaseStatus, ...]
    signs: WorkerSigns
    rooms: tuple[StorageRoom, ...]
    unnamed: tuple[StorageUse, ...]
    """Storages that hold copies and that the settings do not name."""
    recent: dict[str, list[GoodOne]]
    newest: dict[str, Newest]
    corruption: dict[str, Corruption]
    never_copied: dict[str, int]
    """By database, how many further copies should have been begun by now and were not."""
    last_runs: tuple[Run, ...]
    probes: LastProbes
    delivery: Delivery
    slo: Slo
    """Of the last thirty days."""
    held: tuple[ReadOnlyMode, ...]
    """The read-only modes that are not released, the oldest first."""
    workers: tuple[Worker, ...]

    @property
    def limits(self) -> AlertSettings:
        return self.installation.settings.alerts

    @property
    def watched(self) -> tuple[DatabaseStatus, ...]:
        """The databases of which something is promised: those that are not paused."""
        return tuple(status for status in self.statuses if status.state != "PAUSED")


def gather(installation: Installation, *, free: Mapping[str, int | None] | None = None) -> Facts:
    """Read the facts. Local disks are asked what they have left, unless ``free`` says it; storages never are.

    Raise sqlalchemy's SQLAlchemyError and ConnectionFailed when the catalogue does not answer.
    """
    engine, now = installation.catalog.engine, installation.clock()
    databases = [database.name for database in installation.settings.databases]
    storages = [storage.name for storage in installation.settings.storages]
    settings = installation.settings
    wanted = {d.name: [s.name for s in settings.storages_of(d)] for d in settings.databases if not d.paused}
    probes = last_probes(engine, now)
    use = summaries.storage_use(engine)
    return Facts(
        installation=installation,
        now=now,
        statuses=load_statuses(installation, probes=probes),
        signs=summaries.worker_signs(engine, now),
        rooms=load_rooms(installation, free=free, use=use),
        unnamed=tuple(use[name] for name in sorted(use) if use[name].unknown),
        recent=recent_good(engine, databases),
        newest=newest_backups(engine, databases),
        corruption=corruption(engine, storages),
        never_copied=count_never_begun(engine, wanted, since=now - COPIES_SPEAK_FOR, until=now - COPIES_WITHIN),
        last_runs=tuple(last_runs(engine, since=now - RUNS_SPEAK_FOR)),
        probes=probes,
        delivery=delivery(engine, now),
        slo=load_slo(installation),
        held=tuple(installation.catalog.read_only_modes.unreleased()),
        workers=tuple(installation.catalog.workers.list()),
    )
