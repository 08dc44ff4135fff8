"""PostgreSQL's own programs that work on a data folder: run as the server's user, whose files these are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from services.errors import BackupsError
from services.jobs.context import RunContext
from services.jobs.processes import run_child
from services.postgres.server_user import ServerUser

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C", "LC_ALL": "C"}
_POLL_SECONDS = 0.05


def run_on_folder(
    command: Sequence[str | Path], user: ServerUser, run: RunContext, failed: Callable[[str], BackupsError]
) -> None:
    """Run a program to its end; what it reads counts as progress.

    Raise what ``failed`` makes of its last lines when it fails, Cancelled and TimedOut from the run.
    """
    with run_child(command, environment=ENVIRONMENT, run=run, user=user.popen_arguments(), level="info") as child:
        while (status := child.poll()) is None:
            run.check_cancelled()
            run.progress(_bytes_read(child.pid))
            time.sleep(_POLL_SECONDS)
        child.wait()
        if status != 0:
            run.check_cancelled()
            raise failed(" ".join(child.error_lines))


def _bytes_read(pid: int) -> int:
    """Return how much a process has read so far: what tells one that works from one that stands still."""
    try:
        process = psutil.Process(pid)
        if hasattr(process, "io_counters"):
            return int(process.io_counters().read_chars)
        times = process.cpu_times()  # macOS counts no bytes; whoever hashes needs the processor
        return int(1000 * (times.user + times.system))
    except psutil.Error:
        return 0
