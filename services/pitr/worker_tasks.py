"""What a worker does for point in time, again and again, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from services.installation import Installation
from services.jobs.paced import Paced
from services.pitr.due_bases import queue_due_bases
from services.pitr.log_checks import check_logs
from services.pitr.receivers import Receivers
from services.pitr.sampler import Sampler

EVERY_SECONDS = 60.0


class PointInTimeTasks:
    """One worker's part in point in time."""

    def __init__(self, installation: Installation, *, by: str, stopping: threading.Event) -> None:
        self._installation = installation
        self._receivers = Receivers(installation, by=by, stopping=stopping)
        self._sampler = Sampler(installation, by=by)
        self._by = by
        self._stopping = stopping

    def tasks(self) -> list[tuple[str, Callable[[object], None]]]:
        """Return the tasks with their names, as the worker takes them."""
        return [
            ("receivers", self._receive),
            ("samples", Paced(self._sample, EVERY_SECONDS)),
            ("bases", Paced(self._queue_bases, EVERY_SECONDS)),
            ("log checks", Paced(self._check_logs, EVERY_SECONDS)),
        ]

    def join(self) -> None:
        """Wait for the receivers to store what they have, once the worker is ending."""
        self._receivers.join()

    def _receive(self, _: object) -> None:
        """Take up the logs that nobody receives."""
        self._receivers.look()

    def _sample(self, _: object) -> None:
        """See how far the logs have come, and how much of them is archived."""
        self._sampler.look()

    def _queue_bases(self, _: object) -> None:
        """Ask for the base backups that are due."""
        queue_due_bases(self._installation)

    def _check_logs(self, _: object) -> None:
        """Read a share of the stored log again."""
        check_logs(self._installation, by=self._by, stopping=self._stopping)
