"""kill -9 of the worker while it encrypts a backup anew: it can be read all the while, and the work ends.

The other points at which it may die are those of compression, which goes the same way (``test_killed_compress``).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from services.commands import submit_copy, submit_rotation, submit_verification
from services.installation import open_installation
from services.jobs.execute import execute_run
from services.keys.rotate_plan import plan_rotation
from services.stream.encryption import generate_key
from tests.faults.test_killed_compress import dump, environ, readable
from tests.faults.test_killed_worker import ended, kill_at, worker
from tests.support.dumps import store_old
from tests.support.stored import keys_in

__all__ = ["dump", "environ"]
KEYS = ["la_factoria/old.dump.r2.age", "la_factoria/old.manifest.json"]


def test_a_worker_killed_between_two_manifests_of_a_rotation_goes_on_with_it(
    environ: dict[str, str],
    tmp_path: Path,
    dump: bytes,
) -> None:
    before = open_installation(environ)
    backup = store_old(before, dump, encrypted=True, at=before.clock() - timedelta(days=30))
    execute_run(before, submit_copy(before, backup.id, "second", actor="test", queue=False), worker="test:1")
    before.close()
    both = environ | {"BACKUP_RECIPIENTS": f"{environ['BACKUP_RECIPIENTS']} {generate_key()[1]}"}
    installation = open_installation(both)
    (run_id,) = submit_rotation(installation, plan_rotation(installation).backups, actor="test")
    kill_at(both, "between the new manifests", tmp_path / "flag")
    assert readable(installation, backup.id) == ["primary", "second"]
    with worker(both, "never", tmp_path / "unused"):
        run = ended(installation, run_id)
        assert (run.state, run.attempt, run.result["failed"]) == ("finished", 2, []), run.error
        after = installation.catalog.backups.get(backup.id)
        assert len(after.recipients) == 2
        for storage in ("primary", "second"):
            assert keys_in(installation, storage) == KEYS
            check = submit_verification(installation, backup.id, "archive", storage=storage, actor="test")
            assert ended(installation, check).result["outcome"] == "passed"
    installation.close()
