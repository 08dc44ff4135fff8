"""The receiver: pg_receivewal run and watched over, its segments stored as they are finished, the slot moved on.

Whatever is killed in between, nothing is lost: a segment leaves the server's keeping only once it is in the storage.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Event

from services.backups.mounted import mounted_storage
from services.errors import BackupsError
from services.installation import Installation
from services.jobs.processes import Child, run_child
from services.pitr.archive import ArchivedSegment
from services.pitr.cluster import Cluster, settle_cluster
from services.pitr.open import archive_of, check_recipients
from services.pitr.own_log import ask_history, log_reach, newest_of
from services.pitr.slots import SlotState, current_lsn, ensure_slot
from services.pitr.spool import Spool
from services.pitr.spool_store import SpoolStore
from services.pitr.unwatched import Unwatched
from services.pitr.wal_names import SegmentName, TimelineHistory, segment_of
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, passfile
from services.settings.model import DatabaseSettings

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
RETRY_SECONDS = 5.0
RETRY_LIMIT = 60.0
"""Pauses after a failure begin with the first and double up to the second."""
STALL = timedelta(seconds=120)
"""A receiver that writes nothing for so long while the server's log goes on is started anew."""
STOP_SECONDS = 10.0
LAST_SECONDS = 15.0
"""How long the storage may take for what is left when the worker ends."""


class Receiver:
    """Receives the log of one database until it is told to stop. ``still_mine`` is asked every few seconds."""

    def __init__(
        self, installation: Installation, database: DatabaseSettings, stopping: Event, still_mine: Callable[[], bool]
    ) -> None:
        self._installation = installation
        self._database = database
        self._stopping = stopping
        self._still_mine = still_mine
        self._address = Address.parse(database.url.get_secret_value())
        self._place = spool_folder(installation, database)
        self._storage = installation.storage(installation.settings.pitr_storage_of(database).name)

    def run(self) -> None:
        """Receive until stopped, or until another worker has the lease. Failures are logged and tried again."""
        pause = RETRY_SECONDS
        while not self._stopping.is_set() and self._still_mine():
            began = time.monotonic()
            try:
                self._receive()
            except BackupsError as error:
                logger.warning("receiving the log of %s: %s", self._database.name, error)
            pause = RETRY_SECONDS if time.monotonic() - began > RETRY_LIMIT else min(pause * 2, RETRY_LIMIT)
            self._stopping.wait(pause)

    def _receive(self) -> None:
        """Run pg_receivewal once, from where the archive ends. Returns when it has ended. Raise BackupsError."""
        settings, database = self._installation.settings, self._database
        check_recipients(settings, database)
        slot = ensure_slot(self._address, database.pitr.slot)
        if slot.made:
            logger.warning("the slot %s of %s was made", database.pitr.slot, database.name)
        cluster = Cluster(slot.system_identifier, slot.segment_bytes)
        mounted_storage(self._installation, self._storage.name)
        settle_cluster(self._storage, database.name, cluster, expected=database.pitr.system_identifier)
        archive = archive_of(settings, database, self._storage, cluster)
        begin = _begin_with(archive.segments(), slot, ask_history(self._address))
        client = choose_client(find_clients(settings.pg_bin_dirs), slot.server_major, program="pg_receivewal")
        if not self._still_mine():  # the storage may have taken long to answer
            return
        spool = Spool.begin(self._place, begin.name(slot.segment_bytes))
        store = SpoolStore(self._installation, database, archive, spool, pause=RETRY_SECONDS)
        try:
            with ExitStack() as stack:
                secret = stack.enter_context(passfile(self._address))
                child = stack.enter_context(
                    run_child(
                        [
                            client.program("pg_receivewal"), f"--directory={spool.folder}", "--no-loop",
                            "--no-password", f"--dbname={self._address.child_conninfo(client.major)}",
                        ],
                        environment=self._address.child_environment(secret),
                        run=Unwatched(),
                    )
                )  # fmt: skip
                self._follow(child, spool, store)
            self._finish(store)
        finally:
            store.give_up()

    def _follow(self, child: Child, spool: Spool, store: SpoolStore) -> None:
        """Have stored what the child finishes, until it ends, is to end, stalls, or has filled the spool."""
        watch = _StallWatch(lambda: current_lsn(self._address), spool.changed_at)
        while child.poll() is None:
            if self._stopping.wait(POLL_SECONDS) or not self._still_mine():
                break
            store.look()
            if spool.bytes() > self._database.pitr.spool_limit:
                logger.warning(
                    "receiving the log of %s pauses: the spool has reached its limit, and %s does not take it",
                    self._database.name, self._storage.name,
                )  # fmt: skip
                break
            if watch.has_stalled(time.monotonic()):
                logger.warning("receiving the log of %s has stalled and begins anew", self._database.name)
                break
        ended = child.poll()
        child.kill()
        child.wait(STOP_SECONDS)
        if ended is not None:
            logger.warning(
                "pg_receivewal of %s ended with %d: %s", self._database.name, ended, " ".join(child.error_lines)
            )

    def _finish(self, store: SpoolStore) -> None:
        """Wait until all is stored, keeping the lease meanwhile; when we are to stop, only as long as may be."""
        store.finish()
        while not store.is_done and self._still_mine():
            if self._stopping.wait(POLL_SECONDS):
                store.finish_once()
                store.join(LAST_SECONDS)  # the server has the rest still
                return


def _begin_with(segments: Iterable[ArchivedSegment], slot: SlotState, history: TimelineHistory) -> SegmentName:
    """Return the segment to begin with: the one after the last in the archive, or the first that the slot keeps.

    Of a parent's segments only those count that ended before the server left it: it refuses to send what came after.
    """
    size = slot.segment_bytes
    kept = segment_of(slot.restart_lsn, size)
    whole = [one for one in segments if log_reach(one, history, size) == (one.number + 1) * size]
    found = newest_of(whole, history, size)
    if found is not None and found[0].number + 1 >= kept:
        return SegmentName(found[0].timeline, found[0].number + 1)
    parents = (switch.timeline for switch in history.switches if kept < segment_of(switch.lsn, size))
    return SegmentName(next(parents, history.timeline), kept)


class _StallWatch:
    """Tells when nothing arrives although the server writes. A server that writes nothing sends nothing."""

    def __init__(self, written: Callable[[], int], changed_at: Callable[[], float]) -> None:
        self._written = written
        self._changed_at = changed_at
        self._seen = (changed_at(), -1)
        self._since = time.monotonic()

    def has_stalled(self, now: float) -> bool:
        """Say so once STALL has passed since the last change, and the server has written since then."""
        changed = self._changed_at()
        if changed != self._seen[0]:
            self._seen, self._since = (changed, -1), now
            return False
        half = STALL.total_seconds() / 2
        if now - self._since < half:
            return False
        if self._seen[1] < 0:
            self._seen = (changed, self._ask())
            return False
        if now - self._since < 2 * half:
            return False
        written, before = self._ask(), self._seen[1]
        self._seen, self._since = (changed, -1), now
        return written > before or written == 0

    def _ask(self) -> int:
        try:
            return self._written()
        except BackupsError:
            return 0  # a server that does not answer is one to connect to anew


def spool_folder(installation: Installation, database: DatabaseSettings) -> Path:
    """Return where the receivers of a database keep what is not stored yet, each in a folder of its own."""
    return installation.settings.home / "wal-spool" / database.name
