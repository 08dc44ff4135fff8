"""A run context that remembers what it was told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa

from services.errors import Cancelled


@dataclass
class RecordingRun:
    """A ``RunContext`` for tests. ``cancel()`` does what a person's click does."""

    run_id: str = "run-1"
    attempt: int = 1
    actor: str = "test"
    reason: str = ""
    phases: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    leftovers: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """What would be left behind if the process died now."""
    ever_left: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bytes_done: int = 0
    cancelled: bool = False
    _stops: list[Callable[[], None]] = field(default_factory=list)

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        self.phases.append(name)

    def progress(self, bytes_done: int) -> None:
        self.bytes_done = bytes_done

    @contextmanager
    def guarded(self) -> Iterator[sa.Connection]:
        """A transaction of an empty catalogue of its own: the run is always ours."""
        engine = sa.create_engine("sqlite://")
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        self.lines.append((level, message))

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise Cancelled("Somebody cancelled the run.")

    def cancel(self) -> None:
        self.cancelled = True
        for stop in list(self._stops):
            stop()

    @contextmanager
    def on_cancel(self, stop: Callable[[], None]) -> Iterator[None]:
        self._stops.append(stop)
        try:
            yield
        finally:
            self._stops.remove(stop)

    @contextmanager
    def leftover(self, kind: str, **what: str) -> Iterator[None]:
        entry = (kind, what)
        self.leftovers.append(entry)
        self.ever_left.append(entry)
        try:
            yield
        finally:
            self.leftovers.remove(entry)
