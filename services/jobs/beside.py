"""Work that goes on beside the main one of a run, and that is given up when the main one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Literal

import sqlalchemy as sa

from services.errors import BackupsError
from services.jobs.context import RunContext
from services.jobs.stops import call_each


class Abandoned(BackupsError):
    """The work beside was given up; what made it so is the error to show."""


class Beside:
    """A RunContext for the side work: stops when the run has to stop, and when ``abandon`` is called.

    As a context manager around the main work it abandons the side work when the main one raises.
    """

    def __init__(self, run: RunContext) -> None:
        self.run_id = run.run_id
        self.attempt = run.attempt
        self.actor = run.actor
        self.reason = run.reason
        self._run = run
        self._abandoned = False
        self._stops: dict[object, Callable[[], None]] = {}
        self._lock = threading.Lock()

    def abandon(self) -> None:
        """Give the work up: it ends at its next step, or by what it registered with ``on_cancel``."""
        with self._lock:
            self._abandoned = True
            stops = list(self._stops.values())
        call_each(stops, run_id=self.run_id)

    def __enter__(self) -> Beside:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abandon()

    def check_cancelled(self) -> None:
        """Raise Abandoned after ``abandon``, and what the run raises when it has to stop."""
        self._run.check_cancelled()
        if self._abandoned:
            raise Abandoned("Given up, since the main work failed.")

    @contextmanager
    def on_cancel(self, stop: Callable[[], None]) -> Iterator[None]:
        """While the block runs, have ``stop`` called when the run has to stop, or when the work is abandoned."""
        key = object()
        with self._lock:
            self._stops[key] = stop
            late = self._abandoned
        if late:
            call_each([stop], run_id=self.run_id)
        try:
            with self._run.on_cancel(stop):
                yield
        finally:
            with self._lock:
                del self._stops[key]

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """Do nothing: the phases are those of the main work."""

    def progress(self, bytes_done: int) -> None:
        """Do nothing: the progress is that of the main work."""

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Add a line to the run's log."""
        self._run.log(message, level)

    def guarded(self) -> AbstractContextManager[sa.Connection]:
        """Return the run's guarded catalogue transaction."""
        return self._run.guarded()

    def leftover(
        self, kind: Literal["process", "upload", "object", "scratch database", "folder", "command"], **what: str
    ) -> AbstractContextManager[None]:
        """Remember what a crash would leave behind, as the run does."""
        return self._run.leftover(kind, **what)
