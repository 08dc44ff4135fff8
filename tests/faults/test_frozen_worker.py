"""Workers on one PostgreSQL catalogue: one is killed, one freezes and wakes too late. There is one good backup."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from pathlib import Path

from services import commands
from services.backups.request import BackupRequest
from services.installation import open_installation
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.faults.test_killed_worker import assert_nothing_half_done, ended, wait_for, worker
from tests.support.schedules import pause_schedules
from tests.support.servers import NewDatabase
from tests.support.worker import late

SOURCE = """
CREATE TABLE content (id bigint PRIMARY KEY, body text NOT NULL);
INSERT INTO content SELECT i, encode(sha512(i::text::bytea), 'base64') || encode(sha512((i * 7)::text::bytea), 'base64')
  FROM generate_series(1, 80000) AS i;
"""


def names(keys: Iterable[str]) -> set[str]:
    """Return the names of the backups that objects belong to."""
    return {key.partition("/")[2].partition(".")[0] for key in keys}


def test_one_worker_is_killed_one_freezes_and_wakes_too_late_and_there_is_one_good_backup(
    tmp_path: Path, server15: LocalServer, server18: LocalServer, database: NewDatabase
) -> None:
    secret, public = generate_key()
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database(server15, SOURCE).url().get_secret_value(),
        "BACKUP_DATABASE_NAME": "la_factoria",
        "BACKUP_SCHEDULE": "off",
        "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
        "BACKUPS_HOME": str(tmp_path / "home"),
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret,
        "CATALOG_URL": database(server18).url().get_secret_value(),
        "RESTORE_TEST_URL": server18.address.url().get_secret_value(),
        "SILENT_AFTER": "5",
    }
    pause_schedules(environ)
    inst = open_installation(environ)
    storage = inst.storage("primary")
    run_id = commands.submit_backup(inst, BackupRequest("la_factoria", name="before_deploy"), actor="ada")
    middle, manifest = tmp_path / "middle", tmp_path / "manifest"
    with worker(environ, "in the middle", middle) as killed:
        wait_for(middle.exists, "the first worker to be in the middle of the backup")
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(10)
    with worker(environ, "before the manifest", manifest) as frozen:
        wait_for(manifest.exists, "the second one, which has stored the object and looked that the run is its own")
        assert inst.catalog.runs.get(run_id).attempt == 2
        os.kill(frozen.pid, signal.SIGSTOP)
        try:
            with worker(environ, "never", tmp_path / "unused") as third:
                run = ended(inst, run_id)
                assert (run.state, run.attempt, (run.worker or "").split(":")[-2]) == ("finished", 3, str(third.pid))
                (backup,) = inst.catalog.backups.list()
                record = (run, inst.catalog.verifications.list(), storage.stat(backup.copies[0].key))

                manifest.unlink()
                os.kill(frozen.pid, signal.SIGCONT)
                wait_for(late(manifest).exists, "the woken one to write its manifest, too late")
                frozen.terminate()
                assert frozen.wait(30) == 0, "it lives, and ends in order"

                (same,) = inst.catalog.backups.list()
                assert (same.id, same.name, same.is_good) == (backup.id, backup.name, True)
                now = inst.catalog.runs.get(run_id), inst.catalog.verifications.list(), storage.stat(same.copies[0].key)
                assert now == record, "nothing of what was recorded or stored has changed"
                assert names(entry.key for entry in storage.list()) == {backup.name}
                following = ended(inst, commands.submit_backup(inst, BackupRequest("la_factoria"), actor="ada"))
                assert following.state == "finished", following.error
        finally:
            if frozen.poll() is None:
                os.kill(frozen.pid, signal.SIGCONT)
    assert len(inst.catalog.backups.list()) == 2
    assert_nothing_half_done(inst)
    inst.close()
