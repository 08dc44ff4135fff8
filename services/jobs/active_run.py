"""A run that is being worked on in this process: the RunContext of the worker and of the command line."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Literal

import sqlalchemy as sa

from services.catalog.model import LogLine
from services.catalog.runs import Claim, ClaimLost
from services.errors import BackupsError, Cancelled, TimedOut
from services.installation import Installation
from services.jobs.stops import call_each
from services.settings.secret_texts import secrets_of
from services.units import format_duration

logger = logging.getLogger(__name__)

HEARTBEAT = 1.0
"""Seconds between two heartbeats."""
BEFORE_THE_WORK = frozenset(
    {"starting", "checking", "checking first", "preparing", "planning", "choosing the base backup"}
)
"""Phases in which nothing of the work is changed or read yet. Any other name counts as work: that errs to the alert."""
_PATIENCE = timedelta(seconds=30)
"""How long the catalogue may be out of reach before the run gives up: as long as others wait before taking it over."""


class Interrupted(BackupsError):
    """The worker was told to end; the run goes back to the queue."""


class ActiveRun:
    """Implements ``services.jobs.context.RunContext``. Use as a context manager: the heart beats inside.

    All methods may be called from any thread.
    """

    def __init__(
        self,
        installation: Installation,
        claim: Claim,
        *,
        actor: str,
        reason: str = "",
        stall_timeout: timedelta | None = None,
    ) -> None:
        self.run_id = claim.run_id
        self.attempt = claim.attempt
        self.actor = actor
        self.reason = reason
        self.claim = claim
        self._installation = installation
        self._runs = installation.catalog.runs
        self._secrets = sorted(secrets_of(installation.settings), key=len, reverse=True)
        self._stall_timeout = stall_timeout
        self._lock = threading.RLock()
        self._phase = "starting"
        # What an earlier attempt did before it died, nobody knows.
        self._has_begun = claim.attempt > 1
        self._phase_started_at = installation.clock()
        self._bytes_done = 0
        self._bytes_total: int | None = None
        self._moved = monotonic()
        self._lines: list[LogLine] = []
        self._stops: dict[object, Callable[[], None]] = {}
        self._stop_error: BackupsError | None = None
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat_until_ended, name=f"heart-{claim.run_id}", daemon=True)

    def __enter__(self) -> ActiveRun:
        self._heart.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heart.join(timeout=_PATIENCE.total_seconds())
        self._flush_log()

    # -- RunContext -------------------------------------------------------------------------------------------------

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """Enter the next phase; also a point at which a cancel takes effect."""
        self.check_cancelled()
        with self._lock:
            self._has_begun |= name not in BEFORE_THE_WORK
            self._phase = name
            self._phase_started_at = self._installation.clock()
            self._bytes_done = 0
            self._bytes_total = total_bytes
            self._moved = monotonic()
        self.log(f"{name[:1].upper()}{name[1:]}.")

    def progress(self, bytes_done: int) -> None:
        """Set the bytes done in this phase."""
        with self._lock:
            if bytes_done != self._bytes_done:
                self._bytes_done = bytes_done
                self._moved = monotonic()

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Add one line to the run's log, secrets masked. It reaches the catalogue with the next heartbeat."""
        line = LogLine(at=self._installation.clock(), level=level, message=self.mask(message))
        with self._lock:
            self._lines.append(line)
            self._moved = monotonic()

    def mask(self, text: str) -> str:
        """Return the text with every secret of the settings replaced by ``***``."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def check_cancelled(self) -> None:
        """Raise Cancelled, TimedOut, Interrupted or ClaimLost when the run has to stop."""
        with self._lock:
            error = self._stop_error
        if error is not None:
            raise error

    @contextmanager
    def on_cancel(self, stop: Callable[[], None]) -> Iterator[None]:
        """While the block runs, have ``stop`` called when the run has to stop; at once when it has to already."""
        key = object()
        with self._lock:
            self._stops[key] = stop
            late = self._stop_error is not None
        if late:
            call_each([stop], run_id=self.run_id)
        try:
            yield
        finally:
            with self._lock:
                self._stops.pop(key, None)

    @contextmanager
    def leftover(self, kind: str, **what: str) -> Iterator[None]:
        """While the block runs, remember in the catalogue something that a crash would leave behind."""
        entry = {"kind": kind, **{name: str(value) for name, value in what.items()}}
        with self._lock:
            self._has_begun = True
        self._runs.add_leftover(self.run_id, entry)
        try:
            yield
        finally:
            self._runs.remove_leftover(self.run_id, entry)

    @contextmanager
    def guarded(self) -> Iterator[sa.Connection]:
        """Yield a catalogue transaction that is committed only if the run is still ours. Raise ClaimLost."""
        with self._installation.catalog.engine.begin() as connection:
            self._runs.check_claim(self.claim, connection)
            yield connection

    @property
    def has_begun(self) -> bool:
        """Whether anything of the work may have been changed or read: what is raised from then on is no refusal."""
        with self._lock:
            return self._has_begun

    # -- stopping ---------------------------------------------------------------------------------------------------

    def stop(self, error: BackupsError) -> None:
        """Have the run end with this error: its child processes are ended now, its code at its next step."""
        with self._lock:
            if self._stop_error is not None:
                return
            self._stop_error = error
            stops = list(self._stops.values())
        call_each(stops, run_id=self.run_id)

    @property
    def stop_error(self) -> BackupsError | None:
        """Why the run has to stop, if it has to. What a stopped child then complains of is not the cause."""
        with self._lock:
            return self._stop_error

    # -- the heart --------------------------------------------------------------------------------------------------

    def _beat_until_ended(self) -> None:
        silent_since: float | None = None
        while not self._ended.wait(HEARTBEAT):
            try:
                self._beat(self._installation.clock())
                silent_since = None
            except ClaimLost as error:
                self.stop(error)
                return
            except sa.exc.SQLAlchemyError as error:
                silent_since = silent_since or monotonic()
                logger.warning("run %s: the catalogue does not answer: %s", self.run_id, error.__class__.__name__)
                if monotonic() - silent_since > _PATIENCE.total_seconds():
                    self.stop(
                        BackupsError("The catalogue is out of reach.", hint="Check CATALOG_URL's server or disk.")
                    )
                    return

    def _beat(self, now: datetime) -> None:
        self._flush_log()
        with self._lock:
            beat = partial(
                self._runs.beat,
                phase=self._phase,
                phase_started_at=self._phase_started_at,
                bytes_done=self._bytes_done,
                bytes_total=self._bytes_total,
            )
            still = monotonic() - self._moved
        if beat(self.claim, now=now):
            by = self._runs.get(self.run_id).cancel_requested_by or "somebody"
            self.stop(Cancelled(f"Cancelled by {by}."))
        if self._stall_timeout is not None and still > self._stall_timeout.total_seconds():
            self.stop(
                TimedOut(
                    f"Nothing moved for {format_duration(self._stall_timeout)} while {self._phase}.",
                    hint="Look for locks on the server, at the network and the storage; stall_timeout sets the limit.",
                )
            )

    def _flush_log(self) -> None:
        with self._lock:
            lines = list(self._lines)
        self._runs.add_log(self.run_id, lines)
        with self._lock:
            del self._lines[: len(lines)]
