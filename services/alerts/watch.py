"""What workers and the dashboard do about alerts, again and again: look, deliver, and keep the watchdog quiet.

A dead worker cannot say that it is dead. So every process that lives on looks at all checks, the dashboard's as well,
and whichever comes first in a minute writes; and where everything is dead, the outside watchdog hears nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from services.alerts.evaluate import evaluate
from services.errors import ConnectionFailed
from services.health.checks import examine
from services.installation import Installation
from services.notify.deliver import deliver_due
from services.notify.heartbeat import beat

logger = logging.getLogger(__name__)

TICK_SECONDS = 15.0
"""Between two looks of one process; the alerts themselves are evaluated once in a minute by all of them together."""
UNREACHABLE_SECONDS = 60.0
"""Between two pings that say that the catalogue does not answer: there is nowhere to agree on who says it."""


class AlertWatch:
    """One process's part in it."""

    def __init__(
        self, installation: Installation, *, by: str, heartbeat: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``heartbeat``: whether this process keeps the outside watchdog quiet. Only a worker does."""
        self._installation = installation
        self._by = by
        self._heartbeat = heartbeat
        self._clock = clock
        self._ticked: float | None = None
        self._cried: float | None = None

    def tick(self) -> None:
        """Look and deliver, unless this process did so within TICK_SECONDS. Raise what the catalogue raises."""
        now = self._clock()
        if self._ticked is not None and now - self._ticked < TICK_SECONDS:
            return
        self._ticked = now
        try:
            found = evaluate(self._installation, by=self._by)
            # The watchdog first: a slow mail server must not look like a dead worker.
            if self._heartbeat and self._installation.settings.alerts.heartbeat_url is not None:
                report = found.report if found is not None else examine(self._installation)
                beat(self._installation, report, by=self._by)
            deliver_due(self._installation)
        except (SQLAlchemyError, ConnectionFailed):
            self._cry(now)
            raise

    def _cry(self, now: float) -> None:
        if self._heartbeat and (self._cried is None or now - self._cried >= UNREACHABLE_SECONDS):
            self._cried = now
            beat(self._installation, None, by=self._by)
