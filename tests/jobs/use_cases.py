"""Use cases that do what a test tells them."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.catalog.model import Run
from services.installation import Installation
from services.jobs.active_run import ActiveRun


@dataclass
class Backup:
    """Waits until it is let go or has to stop, like a dump; counts how many work at the same time."""

    started: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Event = field(default_factory=threading.Event)
    work: Callable[[ActiveRun], None] = lambda active: None
    now: int = 0
    most: int = 0
    done: list[str] = field(default_factory=list)

    def __call__(self, installation: Installation, run: Run, active: ActiveRun) -> dict[str, Any]:
        self.now += 1
        self.most = max(self.most, self.now)
        self.started.release()
        try:
            self.work(active)
            while not self.go.wait(0.02):
                active.check_cancelled()
            active.check_cancelled()
        finally:
            self.now -= 1
        self.done.append(run.id)
        return {"done": True}


def sleep_in_a_child(active: ActiveRun) -> None:
    """Run a child process that sleeps, which only the run's cancel ends."""
    child = subprocess.Popen(["sleep", "600"])
    try:
        with active.on_cancel(child.kill):
            child.wait(60)
    finally:
        child.kill()
        child.wait()


def stand_still(active: ActiveRun) -> None:
    """Hang without a byte of progress until the run has to stop."""
    active.phase("dumping")
    while True:
        active.check_cancelled()
        time.sleep(0.02)
