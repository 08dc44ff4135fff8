"""kill -9 of the worker at each step of compressing a backup anew: it can be read all the while, and the work ends."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from services.backups.compress_plan import plan_compress
from services.commands import submit_compressions, submit_copy, submit_verification
from services.installation import Installation, open_installation
from services.jobs.execute import execute_run
from services.postgres.server import LocalServer
from services.restores.evidence import read_evidence
from services.stream.encryption import generate_key
from tests.faults.test_killed_copies import CONFIG
from tests.faults.test_killed_worker import ended, kill_at, worker
from tests.restores.lab import SCHEMA
from tests.support.catalogs import prepare_home
from tests.support.dumps import plain_dump, store_old
from tests.support.servers import drop_database, make_database
from tests.support.stored import keys_in
from tests.support.worker import COMPRESS_PHASES

KEYS = ["la_factoria/old.dump.zst.age", "la_factoria/old.manifest.json"]


@pytest.fixture(scope="module")
def dump(server15: LocalServer) -> bytes:
    source = make_database(server15, SCHEMA)
    try:
        return plain_dump(source)
    finally:
        drop_database(source)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    secret, public = generate_key()
    prepare_home(tmp_path / "home")
    for name in ("primary", "second"):
        (tmp_path / name).mkdir()
    second = f'url = "file://{tmp_path}/second"'
    (tmp_path / "backups.toml").write_text(CONFIG.format(folder=tmp_path, second=second))
    return {
        "PATH": os.environ["PATH"],
        "BACKUPS_CONFIG": str(tmp_path / "backups.toml"),
        "BACKUPS_HOME": str(tmp_path / "home"),
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret,
    }


def readable(installation: Installation, backup_id: str) -> list[str]:
    """Return the storages in which a copy agrees with the catalogue, object and manifest."""
    backup = installation.catalog.backups.get(backup_id)
    found = []
    for copy in backup.copies:
        manifest = read_evidence(installation, backup, copy)
        stored = installation.storage(copy.storage).stat(copy.key)
        assert manifest.backup.copies[0].key == copy.key
        if stored.bytes == backup.stored_bytes == manifest.backup.stored_bytes:
            found.append(copy.storage)
    return found


@pytest.mark.parametrize("phase", COMPRESS_PHASES)
def test_a_worker_killed_while_it_compresses_leaves_a_backup_that_is_read_and_its_run_goes_on(
    environ: dict[str, str], phase: str, tmp_path: Path, dump: bytes
) -> None:
    installation = open_installation(environ)
    backup = store_old(installation, dump, at=installation.clock() - timedelta(days=30))
    made = submit_copy(installation, backup.id, "second", actor="test", queue=False)
    execute_run(installation, made, worker="test:1")
    plan = plan_compress(installation, older_than=timedelta(days=7))
    (run_id,) = submit_compressions(installation, plan.backups, actor="test")
    kill_at(environ, phase, tmp_path / "flag")
    assert readable(installation, backup.id) == ["primary", "second"]
    with worker(environ, "never", tmp_path / "unused"):
        run = ended(installation, run_id)
        assert (run.state, run.attempt, run.result["failed"]) == ("finished", 2, []), run.error
        after = installation.catalog.backups.get(backup.id)
        assert (after.compression, after.encryption) == ("zstd", "age")
        for storage in ("primary", "second"):
            assert keys_in(installation, storage) == KEYS
            assert installation.storage(storage).unfinished() == []
            check = submit_verification(installation, backup.id, "archive", storage=storage, actor="test")
            assert ended(installation, check).result["outcome"] == "passed"
    installation.close()
