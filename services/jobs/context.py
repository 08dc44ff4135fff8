"""What a use case sees of the run that it works for: phases, progress, log, cancel, what a crash would leave behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # a fifth of a second, which whoever only streams need not pay (`backups pitr wal-push`)
    import sqlalchemy as sa


class RunContext(Protocol):
    """Handed to every use case. The worker, the command line and the tests each have their own."""

    run_id: str
    attempt: int
    """1, or more after a crash: what an attempt stores has a name of its own."""
    actor: str
    reason: str

    def phase(self, name: str, *, total_bytes: int | None = None) -> None:
        """Enter the next phase. Its name is shown to people: ``dumping``, ``verifying``, …"""

    def progress(self, bytes_done: int) -> None:
        """Set the bytes done in this phase (absolute, not an increment). Cheap; call it as often as you like."""

    def log(self, message: str, level: Literal["info", "warning", "error"] = "info") -> None:
        """Add one line to the run's log. Secrets known to the settings are masked."""

    def check_cancelled(self) -> None:
        """Raise Cancelled when somebody asked the run to stop, TimedOut when its limit passed."""

    def on_cancel(self, stop: Callable[[], None]) -> AbstractContextManager[None]:
        """While the block runs, have ``stop`` called (from another thread, once) when the run is cancelled."""

    def guarded(self) -> AbstractContextManager[sa.Connection]:
        """A catalogue transaction that is committed only while the run is still ours; raises ClaimLost otherwise."""

    def leftover(
        self, kind: Literal["process", "upload", "object", "scratch database", "folder", "command"], **what: str
    ) -> AbstractContextManager[None]:
        """While the block runs, remember in the catalogue something that a crash would leave behind.

        ``process``: pid, started (its start time). ``upload``/``object``: storage, key.
        ``scratch database``: name. ``folder``: path. ``command``: token, in the environment of what is just started.
        """
