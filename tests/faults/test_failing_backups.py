"""Whatever goes wrong, a backup ends within its limit as failed, with reason and hint, and none is ever listed."""

from __future__ import annotations

import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent import futures
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from services import commands
from services.backups import create
from services.backups.request import BackupRequest
from services.catalog.model import Backup, Run
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.clients import find_clients
from services.postgres.connection import Address, connect
from services.postgres.fingerprint_model import Fingerprint
from services.postgres.server import LocalServer
from services.storage.local_writer import LocalWriter
from tests.support.installations import make_installation
from tests.support.s3 import Fault, fault_server, moto_server, plain_client, settings_for
from tests.support.servers import NewDatabase, make_server

SOURCE = """
CREATE TABLE content (id bigint PRIMARY KEY, body text NOT NULL);
INSERT INTO content SELECT i, encode(sha512(i::text::bytea), 'base64') || encode(sha512((i * 7)::text::bytea), 'base64')
  FROM generate_series(1, 60000) AS i;
"""


def back_up(installation: Installation, force_reason: str = "") -> tuple[Run, float]:
    """Back up la_factoria in the foreground; return the run as it ended, and the seconds that it took."""
    request = BackupRequest("la_factoria", force_reason=force_reason)
    run_id = commands.submit_backup(installation, request, actor="t", queue=False)
    began = time.monotonic()
    run = execute_run(installation, run_id, worker=process_identity())
    return run, time.monotonic() - began


def assert_failed(installation: Installation, run: Run, *words: str) -> None:
    assert run.state == "failed"
    for word in words:
        assert word.lower() in f"{run.error} {run.hint}".lower(), f"{run.error} | {run.hint}"
    assert run.hint, run.error
    assert installation.catalog.backups.list() == []
    assert not psutil.Process().children() or all("pg_dump" not in c.name() for c in psutil.Process().children())


def stored(installation: Installation) -> list[str]:
    return [entry.key for entry in installation.storage("primary").list()]


def test_a_wrong_password(tmp_path: Path, server15: LocalServer, database: NewDatabase) -> None:
    address = database(server15)
    url = address.url().get_secret_value().replace(address.password.get_secret_value(), "planted-wrong")
    installation = make_installation(tmp_path, url=url)
    run, seconds = back_up(installation)
    assert_failed(installation, run, "password")
    assert "planted-wrong" not in run.error + run.hint
    assert seconds < 30


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_an_unreachable_host(tmp_path: Path, how: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if how == "silent":
            listener.listen(1)  # takes the connection and never says a word
        url = f"postgresql://ada:pw@127.0.0.1:{listener.getsockname()[1]}/la_factoria"
        installation = make_installation(tmp_path, url=url)
        run, seconds = back_up(installation)
    assert_failed(installation, run, "127.0.0.1")
    assert seconds < 40


def test_a_database_that_does_not_exist(tmp_path: Path, server15: LocalServer) -> None:
    address = server15.address.with_database("nowhere")
    installation = make_installation(tmp_path, url=address.url().get_secret_value())
    assert_failed(installation, back_up(installation)[0], "nowhere")


def test_client_programs_that_are_too_old(
    tmp_path: Path, server18: LocalServer, database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [client for client in find_clients() if client.major < 18]
    if not old:
        pytest.skip("there are no client programs older than 18 on this machine")
    monkeypatch.setattr("services.postgres.clients._find_clients", lambda *_: tuple(old))
    installation = make_installation(tmp_path, url=database(server18).url().get_secret_value())
    run, _ = back_up(installation)
    assert_failed(installation, run, "18")
    assert stored(installation) == []


def during_the_dump(monkeypatch: pytest.MonkeyPatch, harm: Callable[[int], None]) -> None:
    """Have ``harm`` called with pg_dump's pid as soon as the first bytes are being written."""
    write_stream = create.write_stream

    def harmed(source: Any, *args: Any, **kwargs: Any) -> Any:
        child = next(c for c in psutil.Process().children(recursive=True) if c.name() == "pg_dump")
        harm(child.pid)
        return write_stream(source, *args, **kwargs)

    monkeypatch.setattr(create, "write_stream", harmed)


def test_pg_dump_dies_half_way(
    tmp_path: Path, server15: LocalServer, database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = make_installation(tmp_path, url=database(server15, SOURCE).url().get_secret_value())
    during_the_dump(monkeypatch, lambda pid: psutil.Process(pid).kill())
    run, seconds = back_up(installation)
    assert_failed(installation, run, "pg_dump")
    assert stored(installation) == []
    assert installation.storage("primary").unfinished() == []
    assert seconds < 30


def test_the_server_stops_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server(15, tmp_path / "own" / "data")
    try:
        with connect(server.address) as connection:
            connection.execute(SOURCE.encode())
        installation = make_installation(tmp_path / "home", url=server.address.url().get_secret_value())
        postmaster = psutil.Process(int((server.data_dir / "postmaster.pid").read_text().split()[0]))
        during_the_dump(monkeypatch, lambda _: [child.kill() for child in [postmaster, *postmaster.children()]])
        run, seconds = back_up(installation)
        assert_failed(installation, run)
        assert stored(installation) == []
        assert seconds < 60
    finally:
        server.destroy()


def end_sessions(address: Address) -> int:
    """Have the server end our sessions in its database; return how many there were."""
    with connect(address) as asking:
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'backups' AND pid <> pg_backend_pid()"
        )
        row = asking.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize("when", ["before the dump is stored", "after the dump was stored"])
def test_a_session_that_the_server_ends_once_all_is_read_costs_no_backup(
    when: str, tmp_path: Path, server15: LocalServer, database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = database(server15, SOURCE)
    installation = make_installation(tmp_path, url=address.url().get_secret_value())
    ended: list[int] = []
    result, commit = futures.Future.result, LocalWriter.commit

    def end_after_the_fingerprint(future: Any, timeout: float | None = None) -> Any:
        taken = result(future, timeout)
        if isinstance(taken, Fingerprint):
            ended.append(end_sessions(address))
        return taken

    def end_after_the_commit(writer: Any) -> Any:
        stored_now = commit(writer)
        ended.append(end_sessions(address))
        return stored_now

    if when.startswith("before"):
        monkeypatch.setattr(futures.Future, "result", end_after_the_fingerprint)
    else:
        monkeypatch.setattr(LocalWriter, "commit", end_after_the_commit)
    run, _ = back_up(installation)
    assert run.state == "finished", run.error
    assert ended, "the harm was done"
    if when.startswith("before"):
        assert ended[0] >= 1, "the snapshot's session was there to be ended"
    [backup] = installation.catalog.backups.list()
    assert backup.is_good
    assert backup.copies[0].key in stored(installation)
    assert any(key.endswith(".manifest.json") for key in stored(installation))


def test_a_dump_that_cannot_be_described_leaves_no_object(
    tmp_path: Path, server15: LocalServer, database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = make_installation(tmp_path, url=database(server15, SOURCE).url().get_secret_value())

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no memory for a manifest")

    monkeypatch.setattr(create, "describe_backup", refuse)
    run, _ = back_up(installation)
    assert_failed(installation, run)
    assert stored(installation) == []


def test_pg_dump_that_hangs_is_ended_by_the_limit(
    tmp_path: Path, server15: LocalServer, database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = make_installation(
        tmp_path,
        url=database(server15, SOURCE).url().get_secret_value(),
        database={"stall_timeout": timedelta(seconds=3)},
    )
    during_the_dump(monkeypatch, lambda pid: psutil.Process(pid).suspend())
    run, seconds = back_up(installation)
    assert_failed(installation, run, "nothing moved")
    assert seconds < 30
    assert stored(installation) == []


def test_a_locked_table_is_waited_for_no_longer_than_the_limit(
    tmp_path: Path, server15: LocalServer, database: NewDatabase
) -> None:
    address = database(server15, SOURCE)
    installation = make_installation(
        tmp_path, url=address.url().get_secret_value(), database={"lock_timeout": timedelta(seconds=2)}
    )
    with connect(address, autocommit=False) as other:
        other.execute("LOCK TABLE content IN ACCESS EXCLUSIVE MODE")
        run, seconds = back_up(installation)
        other.rollback()
    assert_failed(installation, run, "lock")
    assert seconds < 30


def test_a_wait_for_a_locked_table_can_be_cancelled(
    tmp_path: Path, server15: LocalServer, database: NewDatabase
) -> None:
    address = database(server15, SOURCE)
    installation = make_installation(tmp_path, url=address.url().get_secret_value())
    run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="t", queue=False)
    ended: list[Run] = []
    thread = threading.Thread(target=lambda: ended.append(execute_run(installation, run_id, worker=process_identity())))
    with connect(address, autocommit=False) as other:
        other.execute("LOCK TABLE content IN ACCESS EXCLUSIVE MODE")
        thread.start()
        with connect(address) as watcher:
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            deadline = time.monotonic() + 30
            while watcher.execute(waiting).fetchone() == (0,):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        commands.request_cancel(installation, run_id, actor="bob")
        thread.join(20)
        other.rollback()
    assert [run.state for run in ended] == ["cancelled"]


def test_a_full_disk(tmp_path: Path, server15: LocalServer, database: NewDatabase) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root with the right to mount")
    try:
        installation = make_installation(
            tmp_path / "home",
            url=database(server15, SOURCE).url().get_secret_value(),
            storages=(settings_for_folder(small),),
        )
        run, _ = back_up(installation)
        assert_failed(installation, run, "pre-check", "free on the disk")
        run, _ = back_up(installation, force_reason="to see the disk fill")
        assert_failed(installation, run, "space")
        assert stored(installation) == []
        assert installation.storage("primary").unfinished() == []
    finally:
        subprocess.run(["umount", small], check=True)


def new_bucket(endpoint: str) -> str:
    """Make a bucket that no other test has; all of moto's servers in a process share theirs."""
    bucket = f"backups-{secrets.token_hex(4)}"
    plain_client(endpoint).create_bucket(Bucket=bucket)
    return bucket


def settings_for_folder(folder: Path) -> object:
    from services.settings.model import StorageSettings

    return StorageSettings(name="primary", url=f"file://{folder}/storage")


FAULTS: dict[str, Fault] = {
    "answers 500": "500",
    "refuses": "403",
    "never answers": "silent",
    "has no bucket": "no bucket",
}


@pytest.mark.parametrize("what", FAULTS)
@pytest.mark.parametrize("when", ["from the start", "during the upload"])
def test_a_storage_that(what: str, when: str, tmp_path: Path, server15: LocalServer, database: NewDatabase) -> None:
    """Named so that the case reads on: a storage that answers 500 during the upload."""
    with moto_server() as upstream, fault_server(upstream) as trouble:
        bucket = new_bucket(upstream)
        installation = make_installation(
            tmp_path,
            url=database(server15, SOURCE).url().get_secret_value(),
            storages=(settings_for(trouble.endpoint, bucket, timeout=2, name="primary"),),
        )
        fault = FAULTS[what]
        trouble.fault = lambda method, path: fault if when == "from the start" or method == "PUT" else None
        run, seconds = back_up(installation)
        assert_failed(installation, run)
        assert seconds < 60
        trouble.fault = lambda method, path: None
        assert stored(installation) == []
        assert plain_client(upstream).list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
        installation.close()


def test_a_backup_that_fails_its_own_verification_fails_the_run_and_is_no_good_backup(
    tmp_path: Path, server15: LocalServer, database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = make_installation(tmp_path, url=database(server15, SOURCE).url().get_secret_value())
    verify = create.verify_backup

    def rot_first(inst: Installation, backup: Backup, *rest: Any) -> Any:
        stored_file = Path(backup.copies[0].location.removeprefix("file://"))
        data = bytearray(stored_file.read_bytes())
        data[len(data) // 2] ^= 1
        stored_file.write_bytes(data)
        return verify(inst, backup, *rest)

    monkeypatch.setattr(create, "verify_backup", rot_first)
    run, _ = back_up(installation)
    assert run.state == "failed"
    assert "failed its verification" in run.error
    assert run.backup_id is not None
    assert not installation.catalog.backups.get(run.backup_id).is_good
    assert installation.catalog.backups.latest_good("la_factoria") is None


def test_a_slow_storage_is_waited_for(tmp_path: Path, server15: LocalServer, database: NewDatabase) -> None:
    with moto_server() as upstream, fault_server(upstream) as trouble:
        bucket = new_bucket(upstream)
        installation = make_installation(
            tmp_path,
            url=database(server15, SOURCE).url().get_secret_value(),
            storages=(settings_for(trouble.endpoint, bucket, timeout=10, name="primary"),),
        )
        trouble.fault = lambda method, path: "slow" if method == "PUT" else None
        run, _ = back_up(installation)
        assert run.state == "finished", run.error
        installation.close()
