"""A worker's receivers: one thread for each database that wants one, in one worker of all."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from services.catalog.duties import hold_duty, release_duty
from services.installation import Installation
from services.pitr.receiver import Receiver
from services.settings.model import DatabaseSettings

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
RENEW_SECONDS = 10.0
JOIN_SECONDS = 30.0


def receiving(installation: Installation) -> list[DatabaseSettings]:
    """Return the databases whose log a worker is to receive."""
    return [
        database
        for database in installation.settings.databases
        if database.pitr.enabled and database.pitr.method == "receiver" and not database.paused
    ]


class Receivers:
    """One worker's part: it takes the databases that nobody else receives, and goes on with them."""

    def __init__(self, installation: Installation, *, by: str, stopping: threading.Event) -> None:
        self._installation = installation
        self._by = by
        self._stopping = stopping
        self._threads: dict[str, threading.Thread] = {}

    def look(self) -> None:
        """Take up what nobody receives. Called again and again; raise what the catalogue raises."""
        for database in receiving(self._installation):
            thread = self._threads.get(database.name)
            if self._stopping.is_set() or (thread is not None and thread.is_alive()):
                continue
            lease = _Lease(self._installation, database.name, self._by)
            if lease.renew():
                thread = threading.Thread(
                    target=self._receive, args=(database, lease), name=f"receiver-{database.name}", daemon=True
                )
                self._threads[database.name] = thread
                thread.start()

    def join(self) -> None:
        """Wait until all have stopped: each stores the beginning of the segment that it was writing."""
        deadline = time.monotonic() + JOIN_SECONDS
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _receive(self, database: DatabaseSettings, lease: _Lease) -> None:
        try:
            Receiver(self._installation, database, self._stopping, lease.is_held).run()
        except Exception:
            # the thread ends, and the next look begins anew
            logger.exception("the receiver of %s failed", database.name)
        finally:
            lease.release()


class _Lease:
    """The right to receive a database's log, renewed while it is used."""

    def __init__(self, installation: Installation, database: str, by: str) -> None:
        self._installation = installation
        # a duty's name has 40 characters, a database's 63
        self._name = f"wal {hashlib.sha256(database.encode()).hexdigest()[:24]}"
        self._by = by
        self._renewed: float | None = None

    def renew(self) -> bool:
        """Take it, or keep it. Raise sqlalchemy's errors."""
        held = hold_duty(
            self._installation.catalog.engine, self._name, by=self._by, lease=LEASE, now=self._installation.clock()
        )
        self._renewed = time.monotonic() if held else None
        return held

    def is_held(self) -> bool:
        """Say whether it is still ours, renewing it in time. A catalogue that is away is waited for up to the lease."""
        if self._renewed is None:
            return False
        if time.monotonic() - self._renewed < RENEW_SECONDS:
            return True
        try:
            return self.renew()
        except SQLAlchemyError:
            return time.monotonic() - self._renewed < LEASE.total_seconds()

    def release(self) -> None:
        """Give it back, so that another worker need not wait for its end."""
        try:
            release_duty(self._installation.catalog.engine, self._name, by=self._by)
        except SQLAlchemyError:
            logger.warning("the lease %s could not be given back", self._name)
