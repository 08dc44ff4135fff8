"""A process that starts what is due: ``python -m tests.support.scheduler NOW GATE``.

It waits until the file GATE is there, so that several begin at the same moment, and prints the runs that it asked for.
It is configured by the environment, like a worker.
"""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path

from services.installation import open_installation
from services.jobs.queue import prepare_queue
from services.schedules.start_due import start_due_runs


def main() -> None:
    now, gate = datetime.fromisoformat(sys.argv[1]), Path(sys.argv[2])
    installation = open_installation(clock=lambda: now)
    prepare_queue(installation.catalog)
    gate.with_suffix(f".{sys.argv[3]}").touch()
    while not gate.exists():
        time.sleep(0.002)
    for _ in range(3):
        for run_id in start_due_runs(installation):
            print(run_id)
    installation.close()


if __name__ == "__main__":
    main()
