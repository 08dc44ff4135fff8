"""What there is for point in time of one database: the read model of the page and of `backups pitr windows`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.catalog.wal_archives import wal_archive_state
from services.errors import BackupsError
from services.installation import Installation
from services.pitr.base_model import BaseBackup, bases_of
from services.pitr.gaps import needed_gaps
from services.pitr.listing import Listing, list_archive
from services.pitr.open import find_archive
from services.pitr.retention import log_begins, plan_window
from services.pitr.window import Window
from services.settings.model import DatabaseSettings


@dataclass(frozen=True)
class PointInTime:
    """One look at a database's base backups and archive."""

    database: str
    bases: tuple[BaseBackup, ...]
    """The sound ones, oldest first, of whatever cluster."""
    listing: Listing | None
    """None before the first segment, and where the storage cannot be listed; its gaps are those that matter."""
    windows: tuple[Window, ...]
    error: str = ""
    """Why the storage could not be listed."""


def load_point_in_time(installation: Installation, database: DatabaseSettings) -> PointInTime:
    """List a database's archive, and say what can be restored to. Never raises for a storage that is away."""
    bases = bases_of(installation.catalog.backups.list(database=database.name, type="base", state="finished"))
    try:
        storage = installation.storage(installation.settings.pitr_storage_of(database).name)
        archive = find_archive(installation.settings, database, storage)
        listing = list_archive(archive) if archive is not None else None
        known = wal_archive_state(installation.catalog.engine, database.name, storage.name)
    except BackupsError as error:
        return PointInTime(database.name, tuple(bases), None, (), str(error))
    if listing is None:
        return PointInTime(database.name, tuple(bases), None, ())
    ours = [base for base in bases if base.system_identifier == listing.system_identifier]
    listing = listing.with_damaged(known.damaged)
    windows = listing.windows(ours)
    plan = plan_window(bases, window=database.pitr.window, now=installation.clock())
    begins = log_begins(plan, listing.system_identifier)
    listing = replace(listing, gaps=tuple(needed_gaps(listing.gaps, begins)))
    return PointInTime(database.name, tuple(bases), listing, tuple(windows))
