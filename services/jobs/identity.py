"""Which process works on a run, and whether it still lives."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from time import monotonic

import psutil

from services.catalog.model import Run
from services.catalog.workers import SILENT_AFTER, Worker


def process_identity() -> str:
    """Return ``host:pid:start`` of this process. The start time tells it from a later one with the same pid."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(psutil.Process().create_time())}"


def is_same_process(pid: int, started: float) -> bool:
    """Say whether the process with this pid is the one that started then (seconds since the epoch, to a second)."""
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return bool(alive and abs(process.create_time() - started) < 1.5)
    except psutil.NoSuchProcess:
        return False


def is_group_of(pid: int, started: float) -> bool:
    """Say whether processes are left of the group that a PostgreSQL program led, which itself is gone.

    With several jobs pg_dump and pg_restore have workers, which outlive a leader that is killed until their table is
    done. While one of them lives, the system gives the group's number to no other process.
    """
    with suppress(psutil.NoSuchProcess):
        if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            return False
    for process in psutil.process_iter(["name", "create_time"]):
        try:
            in_group = os.getpgid(process.pid) == pid
        except (ProcessLookupError, PermissionError):
            continue
        if in_group and process.info["name"].startswith("pg_") and process.info["create_time"] > started - 1.5:
            return True
    return False


class DeathWatch:
    """Tells which running runs are worked on by nobody any more, and which workers are gone.

    On this machine a look at the process tells at once. Elsewhere, or when the process hangs, the heartbeat does: it is
    missing when its *value* has not changed for ``SILENT_AFTER`` of our own monotonic clock. Two machines' wall clocks
    are never compared: they may be minutes apart, and jump.
    """

    def __init__(
        self, active_here: Callable[[], Collection[str]] = tuple, clock: Callable[[], float] = monotonic
    ) -> None:
        """Given what returns the ids of the runs that this very process works on: those are never dead."""
        self._active_here = active_here
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[datetime | None, float]] = {}
        self._lock = threading.Lock()

    def is_dead(self, run: Run) -> bool:
        """Say whether the process that works on a running run is gone. Ask again and again: silence takes time."""
        if run.id in self._active_here():
            return False
        return self._is_gone(run.worker or "?:0:0", run.id, run.heartbeat_at)

    def is_gone(self, worker: Worker) -> bool:
        """Say whether a worker's process is gone. Ask again and again, as above."""
        return self._is_gone(worker.id, "its own heart", worker.heartbeat_at)

    def _is_gone(self, process: str, beats_for: str, heartbeat_at: datetime | None) -> bool:
        host, pid, start = process.rsplit(":", 2)
        if host == socket.gethostname() and not is_same_process(int(pid), float(start)):
            return True
        key, now = (beats_for, process), self._clock()
        with self._lock:
            heartbeat, since = self._seen.get(key, (None, now))
            if key not in self._seen or heartbeat != heartbeat_at:
                self._seen[key] = (heartbeat_at, now)
                return False
        return now - since > SILENT_AFTER.total_seconds()
