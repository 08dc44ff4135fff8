"""kill -9 of the worker in each phase of a copy: nothing half-stored is listed, and the copy is made after all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.catalog.model import Copy
from services.commands import submit_copy
from services.installation import Installation, open_installation
from services.stream.encryption import generate_key
from tests.faults.test_killed_worker import ended, kill_at, wait_for, worker
from tests.support.catalogs import prepare_home
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, moto_server, plain_client
from tests.support.stored import both_keys, content_of, flip, keys_in, store_backup
from tests.support.worker import COPY_PHASES

CONFIG = """
cleanup_schedule = "off"
janitor_schedule = "off"
health_schedule = "off"

[[storages]]
name = "primary"
url = "file://{folder}/primary"

[[storages]]
name = "second"
{second}

[[databases]]
name = "la_factoria"
url = "postgresql://u:p@127.0.0.1:1/la_factoria"
storages = ["primary", "second"]
schedule = "off"
restore_test_schedule = "off"
"""


@pytest.fixture(params=["folder", "s3"])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment of an installation whose second storage is a folder, or a bucket."""
    secret, public = generate_key()
    values = {
        "PATH": os.environ["PATH"],
        "BACKUPS_CONFIG": str(tmp_path / "backups.toml"),
        "BACKUPS_HOME": str(tmp_path / "home"),
        "BACKUP_RECIPIENTS": public,
        "BACKUP_ENCRYPTION_KEY": secret,
    }
    (tmp_path / "primary").mkdir()
    prepare_home(tmp_path / "home")
    if request.param == "folder":
        second = f'url = "file://{tmp_path}/second"'
        (tmp_path / "second").mkdir()
        (tmp_path / "backups.toml").write_text(CONFIG.format(folder=tmp_path, second=second))
        yield values
        return
    with moto_server() as endpoint:
        bucket = f"backups-{secrets.token_hex(4)}"
        plain_client(endpoint).create_bucket(Bucket=bucket)
        second = (
            f'url = "s3://{bucket}/prod"\nendpoint_url = "{endpoint}"\naccess_key_id = "{ACCESS_KEY}"\n'
            f'secret_access_key = "{SECRET_KEY}"'
        )
        (tmp_path / "backups.toml").write_text(CONFIG.format(folder=tmp_path, second=second))
        yield values


def copy_of(installation: Installation, backup_id: str) -> Copy:
    return next(c for c in installation.catalog.backups.get(backup_id).copies if c.storage == "second")


@pytest.mark.parametrize("phase", COPY_PHASES)
def test_a_worker_killed_during_a_copy_leaves_nothing_half_stored_and_its_run_goes_on(
    environ: dict[str, str], phase: str, tmp_path: Path
) -> None:
    installation = open_installation(environ)
    backup = store_backup(installation, content=secrets.token_bytes(21 << 20))
    run_id = submit_copy(installation, backup.id, "second", actor="test")
    kill_at(environ, phase, tmp_path / "flag")
    assert copy_of(installation, backup.id).state == "copying", "never called stored"
    assert installation.catalog.backups.get(backup.id).is_good
    with worker(environ, "never", tmp_path / "unused"):
        run = ended(installation, run_id)
    assert (run.state, run.attempt) == ("finished", 2), run.error
    assert keys_in(installation, "second") == both_keys(backup)
    assert installation.storage("second").unfinished() == []
    for key in both_keys(backup):
        assert content_of(installation, "second", key) == content_of(installation, "primary", key)
    assert copy_of(installation, backup.id).state == "stored"
    (check,) = installation.catalog.verifications.list(backup_id=backup.id)
    assert (check.storage, check.outcome) == ("second", "passed")
    installation.close()


@pytest.mark.parametrize("environ", ["folder"], indirect=True)
def test_a_killed_repair_leaves_the_damaged_object_until_the_whole_one_takes_its_place(
    environ: dict[str, str], tmp_path: Path
) -> None:
    installation = open_installation(environ)
    backup = store_backup(installation, content=secrets.token_bytes(21 << 20))
    with worker(environ, "never", tmp_path / "unused"):
        assert ended(installation, submit_copy(installation, backup.id, "second", actor="test")).state == "finished"
    file = tmp_path / "second" / backup.copies[0].key
    flip(file)
    damaged = file.read_bytes()
    installation.catalog.backups.set_copy_state(backup.id, "second", "damaged", checked_at=installation.clock())
    run_id = submit_copy(installation, backup.id, "second", actor="test")
    kill_at(environ, "copying in the middle", tmp_path / "flag")
    assert file.read_bytes() == damaged
    assert copy_of(installation, backup.id).state == "damaged"
    with worker(environ, "never", tmp_path / "unused"):
        assert ended(installation, run_id).state == "finished"
    assert file.read_bytes() == content_of(installation, "primary", backup.copies[0].key)
    assert installation.storage("second").unfinished() == []
    installation.close()


@pytest.mark.parametrize("environ", ["folder"], indirect=True)
def test_a_worker_makes_the_copies_that_are_wanting_by_itself(environ: dict[str, str], tmp_path: Path) -> None:
    installation = open_installation(environ)
    backup = store_backup(installation)
    with worker(environ, "never", tmp_path / "unused"):
        wait_for(
            lambda: any(c.state == "stored" for c in installation.catalog.backups.get(backup.id).copies
                        if c.storage == "second"),
            "the copy",
        )  # fmt: skip
        (run,) = installation.catalog.runs.list()
        assert ended(installation, run.id).state == "finished"
    assert (run.kind, run.actor) == ("copy", "worker")
    installation.close()
