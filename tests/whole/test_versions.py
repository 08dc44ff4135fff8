"""The main job on a real server of every version: dump, verify, restore test, and a restore without this product."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from services import commands
from services.backups.manifest import read_manifest
from services.backups.naming import manifest_key
from services.backups.request import BackupRequest
from services.catalog.model import Backup, Run
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, connect, passfile
from services.postgres.fingerprint import take_fingerprint
from services.postgres.server import LocalServer
from services.restores.compare import compare_fingerprints
from tests.support.installations import make_installation
from tests.support.servers import VERSIONS, NewDatabase, drop_database
from tests.whole.source import SOURCE

NewServer = Callable[[int], LocalServer]


def finished(installation: Installation, run_id: str) -> Run:
    run = execute_run(installation, run_id, worker=process_identity())
    assert run.state == "finished", f"{run.error} {run.hint}"
    return run


@pytest.mark.parametrize("version", VERSIONS)
def test_a_backup_of_every_version_is_verified_and_proven_and_restores_with_standard_programs(
    version: int, server: NewServer, database: NewDatabase, tmp_path: Path
) -> None:
    source = database(server(version), SOURCE)
    scratch = server(18)
    installation = make_installation(
        tmp_path,
        url=source.url().get_secret_value(),
        restore_test_url=scratch.address.url(),
        database={"restore_test_on_source_server": version == 18},
    )
    request = BackupRequest("la_factoria", note=f"from PostgreSQL {version}")
    backup_id = finished(installation, commands.submit_backup(installation, request, actor="t", queue=False)).backup_id
    assert backup_id is not None
    with connect(source) as connection:  # the source moves on; the proof is of the instant of the dump
        connection.execute("DELETE FROM users WHERE id % 3 = 0")
        connection.execute("DROP TABLE temp_data")
    for level in ("stored", "checksum", "archive", "restore"):
        run_id = commands.submit_verification(installation, backup_id, level, actor="t", queue=False)
        assert finished(installation, run_id).result["outcome"] == "passed", installation.catalog.runs.log(run_id)
    backup = installation.catalog.backups.get(backup_id)
    assert backup.server_version.split(".")[0] == str(version)
    assert backup.proven_at is not None
    assert_restores_without_us(installation, backup, database(scratch), tmp_path)
    installation.close()


def assert_restores_without_us(installation: Installation, backup: Backup, target: Address, folder: Path) -> None:
    """Restore with age, zstd and pg_restore alone, and compare with the manifest's fingerprint."""
    for program in ("age", "zstd"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    key = installation.settings.encryption_key
    assert key is not None
    key_file = folder / "key.txt"
    key_file.write_text(key.get_secret_value() + "\n")
    stored = Path(backup.copies[0].location.removeprefix("file://"))
    plain = folder / "plain.dump"
    with plain.open("wb") as out:
        age = subprocess.Popen(["age", "-d", "-i", key_file, stored], stdout=subprocess.PIPE)
        zstd = subprocess.Popen(["zstd", "-d", "-c"], stdin=age.stdout, stdout=out)
        assert (zstd.wait(60), age.wait(60)) == (0, 0)
    pg_restore = choose_client(find_clients(), 18).program("pg_restore")
    with passfile(target) as secret:
        subprocess.run(
            [pg_restore, "--no-owner", "--no-acl", "--exit-on-error", f"--dbname={target.dbname}", plain],
            env=target.child_environment(secret),
            check=True,
            timeout=120,
        )
    manifest = read_manifest(
        installation.settings, installation.storage("primary"), manifest_key(backup.database, backup.name)
    )
    assert manifest.fingerprint is not None
    assert manifest.fingerprint.rows > 7000
    found = take_fingerprint(target, snapshot_id=None, hash_limit=10**12, like=manifest.fingerprint)
    comparison = compare_fingerprints(manifest.fingerprint, found)
    assert comparison.is_equal, comparison.differences()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_parallel_backup_of_every_version_is_proven_and_its_tables_restore_alone(
    version: int, server: NewServer, database: NewDatabase, tmp_path: Path
) -> None:
    source, scratch = database(server(version), SOURCE), server(18)
    installation = make_installation(
        tmp_path,
        url=source.url().get_secret_value(),
        restore_test_url=scratch.address.url(),
        database={"restore_test_on_source_server": version == 18},
    )
    request = BackupRequest("la_factoria", jobs=2)
    backup_id = finished(installation, commands.submit_backup(installation, request, actor="t", queue=False)).backup_id
    assert backup_id is not None
    for level in ("archive", "restore"):
        run_id = commands.submit_verification(installation, backup_id, level, actor="t", queue=False)
        assert finished(installation, run_id).result["outcome"] == "passed", installation.catalog.runs.log(run_id)
    target = scratch.address.with_database(f"part_of_{version}")
    try:
        run_id = commands.submit_restore(
            installation, backup_id, target.dbname, server="restore-test", tables=["users"], actor="t", queue=False
        )
        report = finished(installation, run_id).result["report"]
        assert (report["outcome"], report["part"]) == ("passed", ["users"]), report["summary"]
    finally:
        drop_database(target)
    installation.close()
