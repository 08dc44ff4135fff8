"""The catalogue: a cache of what the storages hold, and the history of what was done.

It is never the only place of a fact about a backup: ``services.backups.rebuild`` restores it from the storages.
"""

from __future__ import annotations

from services.catalog import engine as engines
from services.catalog.approvals import ApprovalStore
from services.catalog.backups import BackupStore
from services.catalog.deletions import DeletionStore
from services.catalog.key_drills import KeyDrillStore
from services.catalog.people import PeopleStore
from services.catalog.pins import PinStore
from services.catalog.read_only_modes import ReadOnlyModeStore
from services.catalog.runs import RunStore
from services.catalog.schedules import ScheduleStore
from services.catalog.verifications import VerificationStore
from services.catalog.workers import WorkerStore
from services.errors import BackupsError


class Catalog:
    """One opened catalogue."""

    def __init__(self, url: str) -> None:
        """Given a SQLAlchemy URL (``sqlite:////path`` or ``postgresql://…``), open it. Nothing is connected yet."""
        self.url = url
        self.engine = engines.open_engine(url)
        self.runs = RunStore(self.engine)
        self.backups = BackupStore(self.engine)
        self.verifications = VerificationStore(self.engine)
        self.workers = WorkerStore(self.engine)
        self.schedules = ScheduleStore(self.engine)
        self.deletions = DeletionStore(self.engine)
        self.pins = PinStore(self.engine)
        self.read_only_modes = ReadOnlyModeStore(self.engine)
        self.approvals = ApprovalStore(self.engine)
        self.key_drills = KeyDrillStore(self.engine)
        self.people = PeopleStore(self.engine)

    def migrate(self) -> tuple[str | None, str]:
        """Bring the tables up to date; return the revision before and after."""
        return engines.migrate(self.engine)

    def is_initialised(self) -> bool:
        """Say whether the tables are there, in whatever revision."""
        return engines.current_revision(self.engine) is not None

    def check_revision(self) -> None:
        """Raise BackupsError unless the tables are those that this version needs."""
        there, needed = engines.current_revision(self.engine), engines.head_revision()
        if there != needed:
            newer = there is not None and there > needed  # they are numbers of four digits
            raise BackupsError(
                f"The catalogue's tables are at revision {there or 'none'}, this version needs {needed}.",
                hint="A newer version has been here: start that one." if newer else "Run `backups migrate`.",
            )

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
