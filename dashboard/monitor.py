"""What the dashboard's server does beside pages: it watches the alerts, and answers /healthz and /metrics from memory.

The worker watches too, but a dead one cannot say that it is dead. Nothing here touches a storage while somebody waits
for an answer: what disks have left is asked by the watching thread, and remembered.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from services.alerts.watch import TICK_SECONDS, AlertWatch
from services.clock import isoformat, utc_now
from services.errors import BackupsError
from services.health.checks import apply_rules, unreachable
from services.health.facts import Facts, gather
from services.health.model import HealthReport, make_report
from services.health.prometheus import exposition
from services.installation import Installation, open_installation
from services.jobs.identity import process_identity
from services.overview import load_rooms

logger = logging.getLogger(__name__)

FRESH_SECONDS = 15.0
"""How old an answer of /healthz or /metrics may be."""

WAIT_SECONDS = 5.0
"""How long one waits for another who is asking a catalogue that does not answer."""


@dataclass(frozen=True)
class Look:
    """One look at the list of checks."""

    report: HealthReport
    facts: Facts | None
    """None: the catalogue did not answer."""
    taken: float
    """On the monotonic clock."""

    @property
    def catalogue_answers(self) -> bool:
        return self.facts is not None


class Monitor:
    """One for the server. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="alerts", daemon=True)
        self._installation: Installation | None = None
        self._look: Look | None = None
        self._free: dict[str, int | None] = {}
        self.started_at: datetime = utc_now()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ending.set()

    def look(self) -> Look:
        """Return the list of checks, at most FRESH_SECONDS old. Only the catalogue is asked, and by one at a time."""
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            return Look(make_report(utc_now(), [unreachable(TimeoutError())]), None, time.monotonic())
        try:
            if self._look is None or time.monotonic() - self._look.taken > FRESH_SECONDS:
                self._look = self._fresh()
            return self._look
        finally:
            self._lock.release()

    def health(self) -> tuple[int, dict[str, object]]:
        """Return the status and the JSON of /healthz: 200 while this process and the catalogue answer."""
        seen = self.look()
        answers = seen.catalogue_answers
        return 200 if answers else 503, {
            "status": "ok" if answers else "unavailable",
            "catalogue": "ok" if answers else "out of reach",
            "worst": seen.report.worst,
            "checked_at": isoformat(seen.report.at),
            "started_at": isoformat(self.started_at),
        }

    def metrics(self) -> str:
        """Return the text of /metrics."""
        seen = self.look()
        return exposition(seen.report, seen.facts)

    def _fresh(self) -> Look:
        try:
            facts = gather(self._open(), free=self._free)
            return Look(apply_rules(facts), facts, time.monotonic())
        except Exception as error:  # noqa: BLE001 - whatever it was, the route says that it cannot tell
            logger.warning("the list of checks could not be read: %s", type(error).__name__)
            return Look(make_report(utc_now(), [unreachable(error)]), None, time.monotonic())

    def _open(self) -> Installation:
        if self._installation is None:
            self._installation = open_installation()
        return self._installation

    def _watch(self) -> None:
        watch: AlertWatch | None = None
        while not self._ending.is_set():
            try:
                with self._lock:
                    installation = self._open()
                if watch is None:
                    watch = AlertWatch(installation, by=f"dashboard {process_identity()}", heartbeat=False)
                self._free = {room.name: room.free_bytes for room in load_rooms(installation)}
                watch.tick()
            except BackupsError as error:
                logger.warning("alerts are not watched: %s", error)
            except Exception:
                logger.exception("watching the alerts failed; trying again")
            self._ending.wait(TICK_SECONDS)
