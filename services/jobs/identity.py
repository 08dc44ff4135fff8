"""Which process works on a run, and whether it still lives."""

from __future__ import annotations

import os
import socket
from datetime import datetime

import psutil

from services.catalog.model import Run
from services.catalog.workers import SILENT_AFTER


def process_identity() -> str:
    """Return ``host:pid:start`` of this process. The start time tells it from a later one with the same pid."""
    return f"{socket.gethostname()}:{os.getpid()}:{int(psutil.Process().create_time())}"


def is_dead(run: Run, now: datetime) -> bool:
    """Say whether the process that works on a running run is gone.

    On this machine a look at the process tells at once; elsewhere, or when it hangs, the missing heartbeat does.
    """
    if run.heartbeat_at is None or now - run.heartbeat_at > SILENT_AFTER:
        return True
    host, pid, start = (run.worker or "").rsplit(":", 2)
    if host != socket.gethostname():
        return False
    return not is_same_process(int(pid), float(start))


def is_same_process(pid: int, started: float) -> bool:
    """Say whether the process with this pid is the one that started then (seconds since the epoch, to a second)."""
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE
        return bool(alive and abs(process.create_time() - started) < 1.5)
    except psutil.NoSuchProcess:
        return False
