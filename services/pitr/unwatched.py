"""A run of nobody's: what streams ask for where no run is on the books, as on the database's own host."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from services.errors import BackupsError

if TYPE_CHECKING:
    import sqlalchemy as sa


class Unwatched:
    """A ``RunContext`` without a catalogue: nothing is recorded, and nobody cancels it."""

    run_id = ""
    attempt = 1
    actor = "wal"
    reason = ""

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """Nobody looks."""

    def progress(self, bytes_done: int) -> None:
        """Nobody looks."""

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Nobody reads it."""

    def check_cancelled(self) -> None:
        """Nobody cancels it."""

    def on_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        return nullcontext()

    def guarded(self) -> AbstractContextManager[sa.Connection]:
        raise BackupsError("There is no catalogue here.")

    def leftover(
        self, kind: Literal["process", "upload", "object", "scratch database", "folder", "command"], **what: str
    ) -> AbstractContextManager[None]:
        return nullcontext()
