"""kill -9 of the process that restores to a point in time: its server ends with it, and what it laid out goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from services import commands
from services.jobs.identity import DeathWatch
from services.jobs.recovery import recover_dead_runs
from services.pitr.target import RecoveryTarget
from tests.pitr.lab import NAME, PointLab

# The process stands still while its restored server runs, so that it can be killed there.
SCRIPT = """
import sys, time
from services.installation import open_installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.pitr import restore_point

def stand_still(server, run):
    print("running", flush=True)
    time.sleep(60)

restore_point.look_around = stand_still
execute_run(open_installation(), sys.argv[1], worker=process_identity())
"""


def test_a_killed_restore_leaves_no_server_and_no_data(tmp_path: Path) -> None:
    lab = PointLab(15, tmp_path)
    try:
        lab.base()
        lab.ship()
        place = lab.outbox.parent / "restored"
        latest = RecoveryTarget.parse("latest")
        run_id = commands.submit_point_restore(lab.inst, NAME, latest, place, actor="t", queue=False)
        key = lab.inst.settings.encryption_key
        assert key is not None
        variables = {
            "DATABASE_URL": lab.server.address.url().get_secret_value(),
            "BACKUP_DATABASE_NAME": NAME,
            "BACKUP_STORAGE": lab.inst.settings.storages[0].url,
            "BACKUP_RECIPIENTS": lab.inst.settings.recipients[0],
            "BACKUP_ENCRYPTION_KEY": key.get_secret_value(),
            "BACKUPS_HOME": str(lab.inst.settings.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT, run_id], env=variables, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "running\n"
            server = int((place / "postmaster.pid").read_text().split()[0])
            assert psutil.pid_exists(server)
            child.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 20
        while psutil.pid_exists(server):
            assert time.monotonic() < deadline, "the server outlived the process that had started it"
            time.sleep(0.05)
        recover_dead_runs(lab.inst, DeathWatch(), enqueue=None)
        run = lab.inst.catalog.runs.get(run_id)
        assert (run.state, "Start the restore again" in run.hint) == ("lost", True)
        assert not place.exists()
        assert not list(Path("/var/tmp").glob(f"backups-{run_id}-*"))
    finally:
        lab.close()
