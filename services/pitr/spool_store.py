"""Storing what a receiver's spool holds, in a thread of its own: a storage that never answers keeps nobody waiting.

Whoever watches over the receiver goes on looking at the spool's limit and at the lease. A thread that hangs is left
behind: what it may still do is harmless, since a segment has one content, the slot only moves on behind what is stored,
and the spool is its own.
"""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event, Thread

from services.backups.mounted import mounted_storage
from services.errors import BackupsError
from services.installation import Installation
from services.pitr.archive import WalArchive
from services.pitr.slots import advance_slot
from services.pitr.spool import Spool
from services.pitr.wal_names import SegmentName, is_segment
from services.postgres.connection import Address
from services.settings.model import DatabaseSettings

logger = logging.getLogger(__name__)


class SpoolStore:
    """Stores what is finished, in order, until it is told that nothing more comes, or to give up."""

    def __init__(
        self, installation: Installation, database: DatabaseSettings, archive: WalArchive, spool: Spool, *, pause: float
    ) -> None:
        self._installation = installation
        self._database = database
        self._address = Address.parse(database.url.get_secret_value())
        self._archive = archive
        self._spool = spool
        self._pause = pause
        self._fails = ""
        self._looked_for = Event()
        self._finishing = Event()
        self._once = Event()
        self._given_up = Event()
        self._thread = Thread(target=self._run, name=f"storing-{database.name}", daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether nothing is being stored any more."""
        return not self._thread.is_alive()

    def look(self) -> None:
        """Have what is finished stored soon. Returns at once."""
        self._looked_for.set()

    def finish(self) -> None:
        """Say that nothing more comes: the beginning of the last segment is stored, then what is left of the rest."""
        self._finishing.set()
        self._looked_for.set()

    def finish_once(self) -> None:
        """Say the same, and that what the storage does not take now stays where it is: the server has it still."""
        self._once.set()
        self.finish()

    def give_up(self) -> None:
        """Begin nothing more: what is stored from now on is somebody else's."""
        self._given_up.set()
        self._looked_for.set()

    def join(self, seconds: float) -> None:
        """Wait for the end, no longer than this."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while not self._given_up.is_set():
                if self._finishing.is_set():
                    self._store_partial()
                    while not self._store_finished() and not self._once.is_set() and not self._given_up.is_set():
                        self._given_up.wait(self._pause)
                    return
                self._looked_for.wait()
                self._looked_for.clear()
                if not self._store_finished():
                    self._finishing.wait(self._pause)
        except Exception:
            logger.exception("storing the log of %s failed", self._database.name)
        finally:
            self._spool.end()

    def _store_finished(self) -> bool:
        """Store what is finished, in order, and say whether all of it is; nothing overtakes what fails."""
        for path in [*self._spool.finished(), *self._spool.left_behind()]:
            if self._given_up.is_set():
                return False
            try:
                mounted_storage(self._installation, self._archive.storage.name)  # a disk may go while it is received
                self._archive.push(path)
                if is_segment(path.name):
                    segment = SegmentName.parse(path.name, self._archive.segment_bytes)
                    end = segment.end_lsn(self._archive.segment_bytes)
                    advance_slot(self._address, self._database.pitr.slot, end)
                    self._archive.remove_partial(path.name)
            except BackupsError as error:
                if str(error) != self._fails:
                    self._fails = str(error)
                    logger.warning("storing the log of %s: %s", self._database.name, error)
                return False
            self._fails = ""
            path.unlink(missing_ok=True)
        return True

    def _store_partial(self) -> None:
        """Store the beginning of the segment that was being written: if the server is gone next, it is all there is."""
        for path in self._spool.partial():
            if self._given_up.is_set():
                return
            self._push_partial(path)

    def _push_partial(self, path: Path) -> None:
        try:
            self._archive.push(path)
        except BackupsError as error:
            logger.warning("storing %s of %s: %s", path.name, self._database.name, error)
