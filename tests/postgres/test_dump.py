"""pg_dump as a stream: what breaks it, and what it must never leave behind or show."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from services.errors import BackupsError, Cancelled, ClientProgramMissing, DumpFailed, NothingMatches
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, Connection, connect
from services.postgres.dump import DumpProcess, dump_stream, match_tables
from services.postgres.fingerprint import take_fingerprint
from services.postgres.restore import restore_archive
from services.postgres.server import LocalServer
from services.postgres.snapshot import exported_snapshot
from tests.support.run_context import RecordingRun
from tests.support.servers import NewDatabase, make_database, make_server

SECONDS = timedelta(seconds=5)
# Some 30 MB as text, so that pg_dump is in the middle of it while its pipe is full.
LARGE = "CREATE TABLE big AS SELECT i, repeat(md5(i::text), 10) AS t FROM generate_series(1, 100000) i;"


@pytest.fixture(params=[15, 18])
def one_server(request: pytest.FixtureRequest) -> LocalServer:
    found: LocalServer = request.getfixturevalue(f"server{request.param}")
    return found


def drain(dump: DumpProcess) -> int:
    total = 0
    while data := dump.stdout.read(1 << 20):
        total += len(data)
    return total


def test_a_killed_pg_dump_is_a_failure(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, LARGE)
    run = RecordingRun()
    with exported_snapshot(address) as snapshot:
        client = choose_client(find_clients(), snapshot.server_major)
        with dump_stream(client, address, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=run) as dump:
            assert dump.stdout.read(1000)
            os.kill(dump.pid, signal.SIGKILL)
            drain(dump)
            with pytest.raises(DumpFailed, match="signal 9"):
                dump.finish()
    assert not run.leftovers


def test_a_server_that_stops_half_way_is_a_failure_with_its_words(tmp_path: Path) -> None:
    server = make_server(15, tmp_path / "data")
    try:
        address = make_database(server, LARGE)
        run = RecordingRun()
        with pytest.raises(DumpFailed) as caught, exported_snapshot(address) as snapshot:  # noqa: PT012
            client = choose_client(find_clients(), 15)
            with dump_stream(client, address, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=run) as dump:
                assert dump.stdout.read(1000)
                stop = [server.bin_dir / "pg_ctl", "stop", "-D", server.data_dir, "-m", "immediate", "-w"]
                owner = psutil.Process(int((server.data_dir / "postmaster.pid").read_text().split()[0])).uids().real
                subprocess.run(stop, check=True, capture_output=True, user=owner, cwd="/", timeout=60)
                drain(dump)
                dump.finish()
        assert "pg_dump ended with status 1" in caught.value.message
        assert "server" in caught.value.hint
        assert any("pg_dump" in line for _, line in run.lines)
    finally:
        server.destroy()


def test_cancelling_ends_pg_dump_at_once(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, LARGE)
    run = RecordingRun()
    with exported_snapshot(address) as snapshot:
        client = choose_client(find_clients(), snapshot.server_major)
        with dump_stream(client, address, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=run) as dump:
            assert [kind for kind, _ in run.leftovers] == ["folder", "process"]
            assert run.leftovers[1][1]["pid"] == str(dump.pid)
            threading.Timer(0.1, run.cancel).start()
            began = time.monotonic()
            time.sleep(0.2)
            drain(dump)
            with pytest.raises(Cancelled):
                dump.finish()
            assert time.monotonic() - began < 5


def test_leaving_the_block_ends_pg_dump(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, LARGE)
    with exported_snapshot(address) as snapshot:
        client = choose_client(find_clients(), snapshot.server_major)
        with dump_stream(client, address, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=RecordingRun()) as dump:
            pid = dump.pid
    assert not psutil.pid_exists(pid)


def test_the_password_is_in_no_argument_and_no_environment(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, LARGE)
    password = address.password
    assert password is not None
    secret = password.get_secret_value().encode()
    os.environ["PLANTED_IN_OUR_ENVIRONMENT"] = "must not be inherited"
    try:
        with exported_snapshot(address) as snapshot:
            client = choose_client(find_clients(), snapshot.server_major)
            with dump_stream(
                client, address, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=RecordingRun()
            ) as dump:
                assert dump.stdout.read(1000)
                arguments = Path(f"/proc/{dump.pid}/cmdline").read_bytes()
                environment = Path(f"/proc/{dump.pid}/environ").read_bytes()
                assert b"pg_dump" in arguments
                assert b"PGPASSFILE" in environment
                assert secret not in arguments + environment
                assert b"PLANTED_IN_OUR_ENVIRONMENT" not in environment
                words = dict(word.split(b"=", 1) for word in environment.split(b"\0") if word)
                passfile = Path(words[b"PGPASSFILE"].decode())
                assert passfile.stat().st_mode & 0o077 == 0
    finally:
        del os.environ["PLANTED_IN_OUR_ENVIRONMENT"]
    assert not passfile.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_cancelling_a_dump_that_waits_for_a_lock_leaves_no_session_on_the_server(
    one_server: LocalServer, database: NewDatabase
) -> None:
    address = database(one_server, "CREATE TABLE t (i int); CREATE VIEW v AS SELECT i FROM t")
    run = RecordingRun()
    with (
        exported_snapshot(address) as snapshot,
        connect(address) as asking,
        connect(address, autocommit=False) as locking,
    ):
        client = choose_client(find_clients(), snapshot.server_major)
        locking.execute("ALTER VIEW v RENAME TO w")  # pg_dump waits for the view's definition
        with dump_stream(client, address, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=run) as dump:
            wait_for(lambda: waiting(asking) == 1)
            run.cancel()
            drain(dump)
            with pytest.raises(Cancelled):
                dump.finish()
        # pg_dump's session would hold its locks on all tables until the view is free.
        wait_for(lambda: waiting(asking) == 0)
        locking.rollback()
    assert run.lines == []


def waiting(connection: Connection) -> int:
    """Return how many sessions of this database wait for a lock."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = pg_catalog.current_database()"
        " AND wait_event_type = 'Lock'"
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_kill_minus_9_of_our_process_ends_pg_dump(server15: LocalServer, database: NewDatabase) -> None:
    address = database(server15, LARGE)
    script = textwrap.dedent("""
        import sys, time
        from datetime import timedelta
        from services.postgres.clients import choose_client, find_clients
        from services.postgres.connection import Address
        from services.postgres.dump import dump_stream
        from services.postgres.snapshot import exported_snapshot
        from tests.support.run_context import RecordingRun
        address = Address.parse(sys.stdin.readline().strip())
        with exported_snapshot(address) as s, dump_stream(
            choose_client(find_clients(), 15), address, snapshot_id=s.id, lock_timeout=timedelta(seconds=5),
            run=RecordingRun(),
        ) as dump:
            dump.stdout.read(1000)
            print(dump.pid, flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as ours:
        assert ours.stdin is not None
        assert ours.stdout is not None
        ours.stdin.write(address.url().get_secret_value() + "\n")
        ours.stdin.flush()
        pid = int(ours.stdout.readline())
        assert psutil.pid_exists(pid)
        ours.kill()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "pg_dump outlived the process that started it"
        time.sleep(0.05)


def test_a_table_that_stays_locked_fails_within_the_lock_timeout(
    one_server: LocalServer, database: NewDatabase
) -> None:
    address = database(one_server, "CREATE TABLE a (i int)")
    with connect(address) as holder:
        holder.execute("BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with (
            pytest.raises(DumpFailed, match="locked"),
            exported_snapshot(address, lock_timeout=timedelta(seconds=1)),
        ):
            pass
        assert time.monotonic() - began < 10
        # A table that is left out may stay locked.
        with exported_snapshot(address, excluded=[("public", "a")], lock_timeout=timedelta(seconds=1)):
            pass


def test_a_truncate_after_the_snapshot_waits_for_the_dump(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, "CREATE TABLE a AS SELECT generate_series(1, 10) AS i")
    with exported_snapshot(address) as snapshot, connect(address) as other:
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(Exception, match="lock timeout"):
            other.execute("TRUNCATE a")
        found = take_fingerprint(address, snapshot_id=snapshot.id, hash_limit=10**9)
    assert [t.rows for t in found.tables] == [10]


def test_an_unreadable_table_fails_the_dump_with_a_hint(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, "CREATE TABLE a (i int); CREATE TABLE b (i int)")
    role = f"role_{address.dbname}"
    with connect(address) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT SELECT ON a TO {role}".encode())
    limited = Address(address.host, address.port, role, SecretStr("x"), address.dbname)
    try:
        with exported_snapshot(limited) as snapshot:
            client = choose_client(find_clients(), snapshot.server_major)
            with dump_stream(
                client, limited, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=RecordingRun()
            ) as dump:
                drain(dump)
                with pytest.raises(DumpFailed, match="permission denied") as caught:
                    dump.finish()
            assert "GRANT" in caught.value.hint
            with pytest.raises(BackupsError, match="permission denied for table b"):
                take_fingerprint(limited, snapshot_id=snapshot.id, hash_limit=10**9)
    finally:
        with connect(address) as connection:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_writes_during_the_dump_are_neither_in_it_nor_in_the_fingerprint(
    one_server: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    address = database(one_server, "CREATE TABLE a (i bigserial PRIMARY KEY, t text, n int DEFAULT 0);"
                       "INSERT INTO a (t) SELECT 'row ' || g FROM generate_series(1, 20000) g")  # fmt: skip
    stop = threading.Event()
    written = threading.Event()

    def write() -> None:
        with connect(address) as connection:
            while not stop.is_set():
                connection.execute("UPDATE a SET n = n + 1 WHERE i % 7 = 0; DELETE FROM a WHERE i % 100 = 3;")
                connection.execute("INSERT INTO a (t) SELECT 'new' FROM generate_series(1, 50)")
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(20)
        run = RecordingRun()
        with exported_snapshot(address) as snapshot:
            client = choose_client(find_clients(), snapshot.server_major)
            seen = snapshot.connection.execute("SELECT count(*), sum(n) FROM a").fetchone()
            assert seen is not None
            with (
                (tmp_path / "dump").open("wb") as file,
                dump_stream(client, address, snapshot_id=snapshot.id, lock_timeout=SECONDS, run=run) as dump,
            ):
                while data := dump.stdout.read(1 << 20):
                    file.write(data)
                dump.finish()
            written.clear()
            assert written.wait(20)
            expected = take_fingerprint(address, snapshot_id=snapshot.id, hash_limit=10**9)
    finally:
        stop.set()
        writer.join()
    assert expected.tables[0].rows == seen[0]
    target = database(one_server)
    restore_archive(client, target, tmp_path / "dump", jobs=1, run=run)
    actual = take_fingerprint(target, snapshot_id=None, hash_limit=0, like=expected)
    assert (actual.tables[0].rows, actual.tables[0].hash) == (expected.tables[0].rows, expected.tables[0].hash)
    later = take_fingerprint(address, snapshot_id=None, hash_limit=10**9)
    assert later.tables[0].hash != expected.tables[0].hash


def test_no_client_that_is_too_old_is_chosen() -> None:
    fifteen = [c for c in find_clients() if c.major == 15]
    with pytest.raises(ClientProgramMissing, match="No pg_dump fits PostgreSQL 18"):
        choose_client(fifteen, 18)
    with pytest.raises(ClientProgramMissing, match="none is installed"):
        choose_client([], 13)


def test_the_oldest_client_that_fits_is_chosen_and_never_a_wrapper() -> None:
    clients = find_clients()
    assert choose_client(clients, 13).major == min(c.major for c in clients)
    assert choose_client(clients, 16).major == min(c.major for c in clients if c.major >= 16)
    for client in clients:
        assert client.program("pg_dump").read_bytes()[:2] != b"#!"


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("users", {"public.users"}),
        ("USERS", {"public.users"}),
        ('"Users"', {"public.Users"}),
        ("audit_*", {"public.audit_logs", "public.audit_2025"}),
        ("audit_202?", {"public.audit_2025"}),
        ("*.users", {"public.users", "other.users"}),
        ("other.*", {"other.users"}),
        ("users|nope", {"public.users"}),
        ('"dot.ted"', {"public.dot.ted"}),
        ('"we""ird$"', {'public.we"ird$'}),
        ("cash$", {"public.cash$"}),
    ],
)
def test_patterns_match_what_pg_dump_would_leave_out(
    one_server: LocalServer, pattern_database: Callable[[LocalServer], Address], pattern: str, names: set[str]
) -> None:
    address = pattern_database(one_server)
    with connect(address) as connection:
        matched = match_tables(connection, [pattern])
        everything = set(match_tables(connection, ["*.*"]))
        everything = {(s, n) for s, n in everything if s in ("public", "other")}
    assert {f"{schema}.{name}" for schema, name in matched} == names
    with exported_snapshot(address) as snapshot:
        client = choose_client(find_clients(), snapshot.server_major)
        with dump_stream(
            client, address, snapshot_id=snapshot.id, exclude_tables=[pattern], lock_timeout=SECONDS, run=RecordingRun()
        ) as dump:
            archive = dump.stdout.read()
            while data := dump.stdout.read(1 << 20):
                archive += data
            dump.finish()
    for schema, name in everything:
        quoted = name if re.fullmatch("[a-z_][a-z_0-9]*", name) else '"' + name.replace('"', '""') + '"'
        kept = f"CREATE TABLE {schema}.{quoted} (".encode() in archive
        assert kept == ((schema, name) not in matched), name


@pytest.fixture(scope="module")
def pattern_database() -> Callable[[LocalServer], Address]:
    made: dict[int, Address] = {}

    def get(server: LocalServer) -> Address:
        key = id(server)
        if key not in made:
            made[key] = make_database(
                server,
                'CREATE TABLE users (i int); CREATE TABLE "Users" (i int); CREATE TABLE audit_logs (i int);'
                "CREATE TABLE audit_2025 (i int); CREATE SCHEMA other; CREATE TABLE other.users (i int);"
                'CREATE TABLE "dot.ted" (i int); CREATE TABLE "we""ird$" (i int); CREATE TABLE cash$ (i int)',
            )
        return made[key]

    return get


def test_each_pattern_without_a_match_is_named(one_server: LocalServer, database: NewDatabase) -> None:
    with connect(database(one_server, "CREATE TABLE a (i int)")) as connection:
        with pytest.raises(NothingMatches) as caught:
            match_tables(connection, ["a", "b*", "x.y"])
        assert "'b*'" in caught.value.message
        assert "'x.y'" in caught.value.message
        with pytest.raises(NothingMatches, match="more than one dot"):
            match_tables(connection, ["a.b.c"])
        with pytest.raises(NothingMatches, match="cannot be read"):
            match_tables(connection, ["a("])


def test_a_snapshot_brings_the_sequences_that_the_dump_will_hold(
    one_server: LocalServer, database: NewDatabase
) -> None:
    script = """
        CREATE TABLE a (i serial, j int GENERATED ALWAYS AS IDENTITY); CREATE TABLE b (i serial); CREATE SEQUENCE c;
        SELECT nextval('c'), nextval('c'); CREATE TABLE kept (i serial)
    """
    address = database(one_server, script)
    excluded = [("public", "a"), ("public", "b"), ("public", "b_i_seq"), ("public", "kept_i_seq")]
    patterns = [f"{schema}.{name}" for schema, name in excluded]
    with exported_snapshot(address, excluded=excluded) as snapshot:
        # A serial column's sequence stays without its table, an identity column's does not, an owned one follows.
        assert snapshot.sequences == {
            "public.a_i_seq": "1/false", "public.c": "2/true", "public.kept_i_seq": "1/false"
        }  # fmt: skip
        client = choose_client(find_clients(), snapshot.server_major)
        with dump_stream(
            client, address, snapshot_id=snapshot.id, exclude_tables=patterns, lock_timeout=SECONDS, run=RecordingRun()
        ) as process:
            data = process.stdout.read()
            process.finish()
    for name in ("a_i_seq", "a_j_seq", "b_i_seq", "c", "kept_i_seq"):
        dumped = f"CREATE SEQUENCE public.{name}\n".encode() in data
        assert dumped == (f"public.{name}" in snapshot.sequences), name


def test_a_sequence_that_may_not_be_read_is_said(one_server: LocalServer, database: NewDatabase) -> None:
    address = database(one_server, "CREATE SEQUENCE hidden")
    role = f"role_{address.dbname}"
    with connect(address) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'reader'".encode())
    try:
        reader = replace(address, user=role, password=SecretStr("reader"))
        with pytest.raises(DumpFailed, match="permission denied for sequence hidden"), exported_snapshot(reader):
            pass
    finally:
        with connect(address) as connection:
            connection.execute(f"DROP ROLE {role}".encode())
