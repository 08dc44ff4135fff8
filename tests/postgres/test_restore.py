"""pg_restore: what cannot be restored, and whose fault it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.errors import (
    BackupsError,
    Cancelled,
    ConnectionFailed,
    Deadlocked,
    NotADump,
    NotTestable,
    RestoreFailed,
    TimedOut,
)
from services.postgres import restore as restore_module
from services.postgres.clients import ClientPrograms, choose_client, find_clients
from services.postgres.connection import Address, connect
from services.postgres.dump import dump_stream
from services.postgres.restore import archive_contents, archive_reader, restore_archive, restore_stream
from services.postgres.server import LocalServer
from services.postgres.snapshot import exported_snapshot
from tests.support.run_context import RecordingRun
from tests.support.servers import NewDatabase

ROWS = (
    "CREATE TABLE t AS SELECT i, repeat(md5(i::text), 4) AS x FROM generate_series(1, 20000) i; CREATE INDEX ON t (i);"
)


def pg_restore() -> ClientPrograms:
    return choose_client(find_clients(), 18, program="pg_restore")


def dump(address: Address, archive: Path) -> Path:
    with exported_snapshot(address) as snapshot:
        client = choose_client(find_clients(), snapshot.server_major)
        with (
            archive.open("wb") as file,
            dump_stream(
                client, address, snapshot_id=snapshot.id, lock_timeout=timedelta(seconds=5), run=RecordingRun()
            ) as process,
        ):
            while data := process.stdout.read(1 << 20):
                file.write(data)
            process.finish()
    return archive


def read_to_the_end(data: bytes, *, piece: int = 1 << 16) -> None:
    with archive_reader(pg_restore(), run=RecordingRun()) as reader:
        for start in range(0, len(data), piece):
            reader.write(data[start : start + piece])
        reader.finish()


def test_an_archive_cut_anywhere_is_never_read_to_its_end(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    data = dump(database(server18, ROWS), tmp_path / "dump").read_bytes()
    read_to_the_end(data)
    for cut in (0, 1, 5, 100, 2000, len(data) // 2, len(data) - 1000, len(data) - 5, len(data) - 1):
        with pytest.raises(RestoreFailed):
            read_to_the_end(data[:cut])


def test_bytes_after_the_archives_end_are_refused_or_left_in_the_pipe(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    data = dump(database(server18, ROWS), tmp_path / "dump").read_bytes()
    with pytest.raises(RestoreFailed, match="after the archive's end"):
        read_to_the_end(data + b"x" * 5_000_000)


def test_a_file_that_is_no_dump_is_told_so(tmp_path: Path) -> None:
    for content in (b"", b"-- PostgreSQL database dump\nSELECT 1;\n", b"PGDMP", b"\x1f\x8b" + b"x" * 5000):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(NotADump, match="file is no archive of pg_dump"):
            archive_contents(pg_restore(), tmp_path / "file")
        with pytest.raises(RestoreFailed):
            read_to_the_end(content)


def test_a_cut_archive_fails_the_restore(server18: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    archive = dump(database(server18, ROWS), tmp_path / "dump")
    data = archive.read_bytes()
    archive.write_bytes(data[: len(data) // 2])
    with pytest.raises(RestoreFailed) as caught:
        restore_archive(pg_restore(), database(server18), archive, jobs=1, run=RecordingRun())
    assert "cut or damaged" in caught.value.hint
    with restore_stream(pg_restore(), database(server18), run=RecordingRun()) as sink:
        sink.write(data[: len(data) // 2])
        with pytest.raises(RestoreFailed):
            sink.finish()


XML = "CREATE TABLE t (x xml); INSERT INTO t VALUES ('<a/>')"
LOCALE = """
CREATE COLLATION c (provider = libc, locale = 'C.utf8');
UPDATE pg_collation SET collcollate = 'xx_XX.utf8', collctype = 'xx_XX.utf8' WHERE collname = 'c'
"""
LIBRARY = """
CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'pg_backend_pid';
UPDATE pg_proc SET prolang = (SELECT oid FROM pg_language WHERE lanname = 'c'), probin = '$libdir/absent_thing'
WHERE proname = 'f'
"""
# PostgreSQL 17 dropped it.
EXTENSION = "CREATE EXTENSION old_snapshot"


@pytest.mark.parametrize(
    ("script", "lacking"),
    [
        (XML, "lacks support for XML"),
        (LOCALE, "lacks the locale xx_XX.utf8"),
        (LIBRARY, "absent_thing"),
        (EXTENSION, "lacks the extension old_snapshot"),
    ],
)
def test_what_the_target_lacks_is_named_and_is_no_failure_of_the_backup(
    server15: LocalServer, server18: LocalServer, database: NewDatabase, tmp_path: Path, script: str, lacking: str
) -> None:
    archive = dump(database(server15, script), tmp_path / "dump")
    with pytest.raises(NotTestable) as caught:
        restore_archive(pg_restore(), database(server18), archive, jobs=1, run=RecordingRun())
    assert lacking in caught.value.message
    assert "RESTORE_TEST_URL" in caught.value.hint


def test_a_role_that_a_policy_names_and_the_target_lacks_is_named(
    server15: LocalServer, server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    address = database(server15)
    role = f"role_{address.dbname}"
    with connect(address) as connection:
        connection.execute(f"CREATE ROLE {role}; CREATE TABLE t (i int); CREATE POLICY p ON t TO {role}".encode())
    try:
        archive = dump(address, tmp_path / "dump")
    finally:
        with connect(address) as connection:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
    with pytest.raises(NotTestable, match=f"lacks the role {role}"):
        restore_archive(pg_restore(), database(server18), archive, jobs=1, run=RecordingRun())


def test_what_the_role_may_not_do_is_said_of_the_role_and_not_of_the_server(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    """To make an event trigger takes a superuser."""
    source = database(
        server18,
        "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
        "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f()",
    )
    archive, target = dump(source, tmp_path / "dump"), database(server18)
    role = f"role_{target.dbname}"
    with connect(target) as connection:
        made = f"CREATE ROLE {role} LOGIN PASSWORD 'planted'; ALTER DATABASE {target.dbname} OWNER TO {role}"
        connection.execute(f"{made}; ALTER SCHEMA public OWNER TO {role}".encode())
    weak = Address(target.host, target.port, role, SecretStr("planted"), target.dbname, target.params)
    try:
        with pytest.raises(NotTestable) as caught:
            restore_archive(pg_restore(), weak, archive, jobs=1, run=RecordingRun())
    finally:
        with connect(target) as connection:
            connection.execute(f"REASSIGN OWNED BY {role} TO {server18.address.user}; DROP ROLE {role}".encode())
    assert caught.value.message.startswith(f"The role {role} lacks the right for it (permission denied to create event")
    assert caught.value.hint.startswith("Restore with a role that has it")


def test_a_conflict_in_the_target_is_a_failure_not_a_lack(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    archive = dump(database(server18, ROWS), tmp_path / "dump")
    with pytest.raises(RestoreFailed, match="already exists"):
        restore_archive(pg_restore(), database(server18, "CREATE TABLE t (i int)"), archive, jobs=1, run=RecordingRun())


def test_a_wrong_password_is_a_failed_connection(server18: LocalServer, tmp_path: Path, database: NewDatabase) -> None:
    target = database(server18, ROWS)
    archive = dump(target, tmp_path / "dump")
    wrong = Address(target.host, target.port, target.user, SecretStr("planted"), target.dbname, target.params)
    run = RecordingRun()
    with pytest.raises(ConnectionFailed, match="refuses the password") as caught:
        restore_archive(pg_restore(), wrong, archive, jobs=1, run=run)
    assert "planted" not in str(caught.value) + repr(run)


def test_cancelling_ends_a_restore(server18: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    archive = dump(database(server18, ROWS), tmp_path / "dump")
    run = RecordingRun()
    with restore_stream(pg_restore(), database(server18), run=run) as sink:
        sink.write(archive.read_bytes()[:100_000])
        run.cancel()
        with pytest.raises(Cancelled):
            sink.write(bytes(5_000_000))
    assert not run.leftovers


def test_every_error_is_one_that_a_person_can_read(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"PGDMP\x7f\x7f\x7f" + b"x" * 100)
    with pytest.raises(BackupsError) as caught:
        restore_archive(pg_restore(), database(server18), tmp_path / "file", jobs=1, run=RecordingRun())
    assert caught.value.message.startswith("pg_restore ended with status 1: ")
    assert "newer pg_dump" in caught.value.hint


def program(folder: Path, script: str) -> ClientPrograms:
    """Return a stand-in for pg_restore that does what the real one does when the machine fails it."""
    (folder / "pg_restore").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "pg_restore").chmod(0o755)
    return ClientPrograms(folder, "18.1", 18)


TROUBLES = {
    "killed": ("kill -9 $$", "ended by signal 9"),
    "no locks": (
        "echo 'pg_restore: error: could not execute query: ERROR:  out of shared memory' >&2; exit 1",
        "max_locks_per_transaction",
    ),
    "no memory": ("echo 'pg_restore: error: could not execute query: ERROR:  out of memory' >&2; exit 1", "memory"),
    "no space": (
        "echo 'pg_restore: error: could not execute query: ERROR:  could not extend file: No space left' >&2; exit 1",
        "Make room",
    ),
    "no file": (
        "echo 'pg_restore: error: could not open input file \"x\": Permission denied' >&2; exit 1",
        "spooled file",
    ),
    "no connections": ("echo 'pg_restore: error: FATAL:  sorry, too many clients already' >&2; exit 1", "max_connect"),
    "a deadlock": ("echo 'pg_restore: error: could not execute query: ERROR:  deadlock detected' >&2; exit 1", "again"),
    "a killed worker": ("echo 'pg_restore: error: a worker process died unexpectedly' >&2; exit 1", "memory"),
}


@pytest.mark.parametrize(("script", "words"), TROUBLES.values(), ids=TROUBLES.keys())
def test_trouble_of_the_machine_is_not_the_archives(tmp_path: Path, script: str, words: str) -> None:
    client = program(tmp_path, script)
    with pytest.raises(BackupsError, match=words) as caught, archive_reader(client, run=RecordingRun()) as reader:
        reader.finish()
    assert type(caught.value) in (BackupsError, Deadlocked)
    with pytest.raises(BackupsError, match=words) as listing:
        archive_contents(client, tmp_path / "archive")
    assert type(listing.value) in (BackupsError, Deadlocked)


def test_an_error_of_the_archive_that_ends_a_worker_stays_one(tmp_path: Path) -> None:
    first, then = "could not read from input file: end of file", "a worker process died unexpectedly"
    client = program(tmp_path, f"echo 'pg_restore: error: {first}' >&2; echo 'pg_restore: error: {then}' >&2; exit 1")
    with pytest.raises(RestoreFailed), archive_reader(client, run=RecordingRun()) as reader:
        reader.finish()


def test_a_missing_file_is_not_a_damaged_archive(server18: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    with pytest.raises(BackupsError, match="could not open input file") as caught:
        restore_archive(pg_restore(), database(server18), tmp_path / "absent", jobs=1, run=RecordingRun())
    assert not isinstance(caught.value, RestoreFailed)


def test_a_list_that_takes_too_long_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_module, "LIST_SECONDS", 0.2)
    with pytest.raises(TimedOut, match="did not list archive within"):
        archive_contents(program(tmp_path, "exec sleep 30"), tmp_path / "archive")


def test_an_archive_tells_when_it_was_made(
    server18: LocalServer, database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    archive = dump(database(server18, ROWS), tmp_path / "dump")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert began <= archive_contents(pg_restore(), archive).created_at <= datetime.now(UTC)
