"""A RunContext for a short look that is no run: nobody follows it, and nothing is left behind when it dies."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import sqlalchemy as sa

from services.errors import BackupsError


class Unwatched:
    """Implements ``services.jobs.context.RunContext``; remembers the bytes done."""

    run_id = ""
    attempt = 1
    actor = ""
    reason = ""

    def __init__(self) -> None:
        self.bytes_done = 0

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """Do nothing."""

    def progress(self, bytes_done: int) -> None:
        """Remember the bytes."""
        self.bytes_done = bytes_done

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Do nothing."""

    def check_cancelled(self) -> None:
        """Nobody cancels it."""

    def on_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """Nobody cancels it."""
        return nullcontext()

    def guarded(self) -> AbstractContextManager[sa.Connection]:
        """Raise: a look changes nothing in the catalogue."""
        raise BackupsError("A look that is no run was to change the catalogue.")

    def leftover(
        self, kind: Literal["process", "upload", "object", "scratch database", "folder", "command"], **what: str
    ) -> AbstractContextManager[None]:
        """A look leaves nothing behind."""
        return nullcontext()
