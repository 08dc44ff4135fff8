"""Where restore tests are held, by which way, and what is left when they end."""

from __future__ import annotations

import shutil
import threading
import time
from collections import namedtuple
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from pydantic import SecretStr

from services.errors import ConnectionFailed, InputError, StorageFull
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.restores import spool
from services.restores.database_locale import DatabaseLocale
from services.restores.scratch import TEST_PREFIX, drop_leftover_scratch_databases, own_database, scratch_name
from services.restores.scratch_server import embedded_server
from services.restores.spool import spool_folder
from tests.restores.conftest import NewLab
from tests.restores.lab import SCHEMA, Lab, leftovers, make_lab, on_server, report_of, scratch_databases
from tests.support.run_context import RecordingRun
from tests.support.servers import NewDatabase, make_server


def test_the_sources_own_server_is_refused(server15: LocalServer, database: NewDatabase, tmp_path: Path) -> None:
    lab = make_lab(tmp_path, database(server15, SCHEMA), **on_server(server15.address))
    backup = lab.back_up()
    with pytest.raises(InputError, match="source's own server") as refused:
        lab.verify(backup, "restore")
    assert "restore_test_on_source_server" in refused.value.hint


def test_the_sources_own_server_is_used_where_the_settings_allow_it(
    server15: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    allowed = {"database": {"restore_test_on_source_server": True}}
    lab = make_lab(tmp_path, database(server15, SCHEMA), **on_server(server15.address), **allowed)
    assert lab.verify(lab.back_up(), "restore").outcome == "passed"


def test_without_a_server_in_the_settings_the_embedded_one_is_used_and_stopped(new_lab: NewLab) -> None:
    lab = new_lab(restore_test_url=None)
    server = embedded_server(lab.home)
    try:
        verification = lab.verify(lab.back_up(), "restore")
        assert verification.outcome == "passed"
        assert report_of(verification).server == "embedded"
        assert not server.running
    finally:
        server.destroy()


def test_a_server_that_does_not_say_which_databases_it_has_is_named(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    source = database(server18, "REVOKE SELECT ON pg_catalog.pg_database FROM PUBLIC")
    with connect(server18.address) as connection:
        connection.execute("CREATE ROLE reads_nothing LOGIN PASSWORD 'x'")
    try:
        mute = replace(source, user="reads_nothing", password=SecretStr("x"))
        lab = make_lab(tmp_path, mute, restore_test_url=None)
        with pytest.raises(ConnectionFailed, match=f"reads_nothing@.*{source.dbname}.* cannot be listed"):
            drop_leftover_scratch_databases(lab.installation)
    finally:
        with connect(server18.address) as connection:
            connection.execute("DROP ROLE reads_nothing")


def test_a_scratch_server_that_is_away_condemns_nothing(new_lab: NewLab) -> None:
    lab = new_lab(restore_test_url=SecretStr("postgresql://postgres@127.0.0.1:1/postgres"))
    backup = lab.back_up()
    with pytest.raises(ConnectionFailed):
        lab.verify(backup, "restore")
    assert lab.again(backup).verification_passed is None


def test_without_room_for_the_dump_it_is_streamed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, free=1000)
    verification = lab.verify(lab.back_up(), "restore")
    assert verification.outcome == "passed", verification.reason
    report = report_of(verification)
    assert (report.way, report.jobs, report.download_seconds) == ("streamed", 1, 0.0)


def test_a_streamed_backup_that_is_damaged_fails(
    lab: Lab, server18: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, free=1000)
    backup = lab.back_up()
    file = lab.stored_file(backup)
    file.write_bytes(file.read_bytes()[:-20])
    assert lab.verify(backup, "restore").outcome == "failed"
    assert scratch_databases(server18.address) == []


def test_a_disk_too_small_for_the_restored_database_condemns_nothing(
    new_lab: NewLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = new_lab(restore_test_url=None)
    backup = lab.back_up()
    fill_disk(monkeypatch, free=1000)
    try:
        with pytest.raises(StorageFull, match="needs"):
            lab.verify(backup, "restore")
    finally:
        embedded_server(lab.home).destroy()
    assert lab.again(backup).verification_passed is None


def fill_disk(monkeypatch: pytest.MonkeyPatch, *, free: int) -> None:
    """Have every disk report this many free bytes, as a full one does."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(spool.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - free, free))
    assert shutil.disk_usage("/").free == free


def test_the_spool_is_closed_to_others(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    from services.restores import perform

    real = perform.restore_archive

    def look(client: Any, address: Any, archive: Path, **rest: Any) -> None:
        seen.append((archive.stat().st_mode & 0o777, archive.parent.stat().st_mode & 0o777))
        real(client, address, archive, **rest)

    monkeypatch.setattr(perform, "restore_archive", look)
    assert lab.verify(lab.back_up(), "restore").outcome == "passed"
    assert seen == [(0o600, 0o700)]


def test_leftover_databases_of_ended_runs_are_dropped_and_others_stay(lab: Lab, server18: LocalServer) -> None:
    with lab.run() as ended:
        pass
    with lab.run() as active:
        runs = (f"{ended.run_id}_1", f"{active.run_id}_0", f"{active.run_id}_1", "of_another_installation")
        names = [f"{TEST_PREFIX}{run}" for run in runs]
        with connect(server18.address) as connection:
            for name in names:
                connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            dropped = drop_leftover_scratch_databases(lab.installation)
            assert [name.rpartition("/")[2] for name in dropped] == names[:2]
            assert set(scratch_databases(server18.address)) == set(names[2:])
        finally:
            with connect(server18.address) as connection:
                for name in names:
                    connection.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())


def test_an_attempt_that_wakes_up_late_removes_nothing_of_the_next_one(
    lab: Lab, server18: LocalServer, tmp_path: Path
) -> None:
    def begin(attempt: int, stack: ExitStack) -> tuple[str, Path]:
        run = RecordingRun(run_id="restarted", attempt=attempt)
        locale = DatabaseLocale({"ENCODING": "UTF8"})
        made = own_database(server18.address, scratch_name(run), locale, run, registered_server="restore_test")
        address, _ = stack.enter_context(made)
        return address.dbname, stack.enter_context(spool_folder(tmp_path, run))

    first, second = ExitStack(), ExitStack()
    with second:
        with first:
            earlier, earlier_folder = begin(1, first)
            later, later_folder = begin(2, second)
            assert (earlier, later) == (f"{TEST_PREFIX}restarted_1", f"{TEST_PREFIX}restarted_2")
            assert earlier_folder != later_folder
            assert scratch_databases(server18.address) == [later]  # the second attempt took away the first one's
        assert scratch_databases(server18.address) == [later]
        assert later_folder.is_dir()
        assert not earlier_folder.exists()
    assert scratch_databases(server18.address) == []


def test_a_scratch_server_that_stops_in_the_middle_condemns_nothing(new_lab: NewLab, tmp_path: Path) -> None:
    server = make_server(18, tmp_path / "fragile" / "data")
    try:
        lab = new_lab(
            "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 200000) i; CREATE INDEX ON t (md5)",
            **on_server(server.address),
        )
        backup = lab.back_up()
        address = server.address

        def stop_once_it_is_there() -> None:
            deadline = time.monotonic() + 30
            while not scratch_databases(address) and time.monotonic() < deadline:
                time.sleep(0.02)
            server.stop()

        stopper = threading.Thread(target=stop_once_it_is_there)
        stopper.start()
        with pytest.raises(ConnectionFailed):
            lab.verify(backup, "restore")
        stopper.join()
        assert lab.again(backup).verification_passed is None
        assert leftovers(lab) == []

        server.start()  # what the crash left is the janitor's, on the same server under its new port
        again = lab.with_settings(**on_server(server.address))
        drop_leftover_scratch_databases(again.installation)
        assert scratch_databases(server.address) == []
    finally:
        server.destroy()


def test_a_source_that_is_away_does_not_keep_its_backup_from_being_tested(lab: Lab) -> None:
    backup = lab.back_up()
    gone = lab.installation.settings.databases[0].model_copy(
        update={"url": SecretStr("postgresql://postgres@127.0.0.1:1/la_factoria")}
    )
    assert lab.with_settings(databases=(gone,)).verify(backup, "restore").outcome == "passed"


def test_a_database_that_left_the_settings_leaves_testable_backups(lab: Lab) -> None:
    backup = lab.back_up()
    assert lab.with_settings(databases=()).verify(backup, "restore").outcome == "passed"


def test_a_locale_that_the_scratch_server_lacks_is_noted_and_fails_nothing(
    server15: LocalServer, server18: LocalServer, new_lab: NewLab
) -> None:
    lab = new_lab("")
    name = sql.Identifier(lab.source.dbname)
    with connect(server15.address) as connection:
        connection.execute(sql.SQL("DROP DATABASE {}").format(name))
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-u-kn'").format(name)
        )
    with connect(lab.source) as connection:
        connection.execute(SCHEMA.encode())
    verification = lab.verify(lab.back_up(), "restore")
    assert verification.outcome == "passed", verification.reason
    with connect(server18.address) as connection:
        # A build without ICU lists one collation of it, "unicode", all the same.
        has_icu = connection.execute("SELECT count(*) > 1 FROM pg_collation WHERE collprovider = 'i'").fetchone()
    notes = report_of(verification).notes
    assert notes == () if has_icu == (True,) else "lacks the source's locale (icu de-u-kn)" in notes[0]
