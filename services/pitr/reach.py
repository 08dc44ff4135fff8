"""What the page *Point in time* says first: from when to when can be restored, by timeline, and what is in the way.

Small enough to be kept for half a minute: of the tens of thousands of segments that a listing names, only the counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.catalog.wal_archives import FaultyFile
from services.catalog.wal_samples import WalSample, latest_samples
from services.installation import Installation
from services.pitr.base_model import BaseBackup
from services.pitr.gaps import Gap
from services.pitr.overview import load_point_in_time
from services.pitr.status import PitrStatus, load_status
from services.pitr.wal_keys import parse_key
from services.pitr.window import Window
from services.settings.model import DatabaseSettings
from services.status import Severity
from services.units import format_duration

STORAGE_LIMIT = timedelta(seconds=10)
"""The longest silence of a storage that somebody who looks at a page waits for."""


@dataclass(frozen=True)
class Reach:
    """One look at what can be restored of a database's server."""

    database: str
    now: datetime
    bases: tuple[BaseBackup, ...]
    """The sound ones, the oldest first."""
    unsound: int
    """Base backups that failed a check or cannot be read: no restore begins with one."""
    windows: tuple[Window, ...]
    gaps: tuple[Gap, ...]
    """Those that the recovery window needs."""
    segments: int
    stored_bytes: int
    sample: WalSample | None
    """The worker's newest look at the log."""
    rpo: timedelta
    storage: str
    bad: tuple[FaultyFile, ...] = ()
    """Files of the log that cannot be relied on: no window goes over them."""
    error: str = ""
    """Why the storage could not be listed; then there are no windows here, and nobody knows."""

    @property
    def newest(self) -> Window | None:
        """The window that reaches furthest, of several the one on the newest timeline."""
        return max(self.windows, key=lambda window: (window.to_at, window.timeline), default=None)

    @property
    def verdict(self) -> tuple[Severity, str]:
        """How it stands, in one sentence."""
        window = self.newest
        if self.error:
            return "unknown", "Nobody can tell now what can be restored: the storage cannot be listed."
        if window is None:
            missing = "no base backup has its log in the storage" if self.bases else "there is no sound base backup"
            missing = self.bad[0].reason.rstrip(".") if self.bases and self.bad else missing
            return "failure", f"Nothing can be restored to a point in time: {missing}."
        if window.gaps:
            how = "damaged" if self._is_bad(window.gaps[0]) else "missing"
            return "failure", f"Nothing after {_said(window.to_at)} can be restored: {window.gaps[0]} is {how}."
        if self.bad:
            words = f"{_said(window.from_at)} to {_said(window.to_at)} can be restored"
            return "failure", f"{words}; what lies outside of that cannot be relied on: {self.bad[0].reason}"
        if self.sample is not None and self.sample.delay > self.rpo:
            behind = f"for {format_duration(self.sample.delay)}, and the RPO is {format_duration(self.rpo)}"
            return "warning", f"The log has not been archived {behind}: nothing after {_said(window.to_at)} is safe."
        words = f"Any instant from {_said(window.from_at)} to {_said(window.to_at)} can be restored"
        if self.gaps:
            return "warning", f"{words}; a gap parts it from what was archived before."
        return "ok", f"{words}."

    def _is_bad(self, gap: Gap) -> bool:
        keys = [key for one in self.bad if (key := parse_key(one.key)) is not None]
        return any(key.file == gap.names(1)[0] for key in keys)


def load_reach(installation: Installation, database: DatabaseSettings) -> Reach:
    """List a database's archive. Never raises for a storage that is away, and waits for one only a little."""
    found = load_point_in_time(_hurried(installation), database)
    listing = found.listing
    stored = installation.catalog.backups.list(database=database.name, type="base", state="finished")
    return Reach(
        database=database.name,
        now=installation.clock(),
        bases=found.bases,
        unsound=len(stored) - len(found.bases),
        windows=found.windows,
        gaps=listing.gaps if listing is not None else (),
        segments=len(listing.segments) if listing is not None else 0,
        stored_bytes=listing.stored_bytes if listing is not None else 0,
        sample=latest_samples(installation.catalog.engine, [database.name]).get(database.name),
        rpo=database.pitr.rpo,
        storage=installation.settings.pitr_storage_of(database).name,
        bad=listing.bad if listing is not None else (),
        error=found.error,
    )


def load_status_soon(installation: Installation, database: DatabaseSettings) -> PitrStatus:
    """Ask server and storage how a database stands, as ``load_status`` does, waiting for neither longer than a page."""
    return load_status(_hurried(installation), database)


def _hurried(installation: Installation) -> Installation:
    """Return the same installation, whose storages are waited for only so long."""
    settings = installation.settings
    storages = tuple(one.model_copy(update={"timeout": min(one.timeout, STORAGE_LIMIT)}) for one in settings.storages)
    return Installation(settings.model_copy(update={"storages": storages}), installation.catalog, installation.clock)


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
