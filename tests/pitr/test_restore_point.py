"""Restores to a point in time on real servers: what is there afterwards, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import psycopg
import pytest

from services import commands
from services.errors import (
    BackupsError,
    Cancelled,
    ConnectionFailed,
    CorruptBackup,
    InputError,
    RestoreFailed,
    StorageError,
)
from services.jobs.context import RunContext
from services.pitr import recovery_server, restore_point
from services.pitr.archive import PushResult, WalArchive
from services.pitr.errors import SegmentMissing
from services.pitr.hold_archiving import hold_archiving, release_command, release_statements
from services.pitr.listing import list_archive
from services.pitr.look_around import look_around
from services.pitr.point_report import DatabaseFound, PointReport
from services.pitr.recovery_server import Recovered
from services.pitr.restore_point import plan_point, restore_to_point
from services.pitr.target import RecoveryTarget
from services.pitr.wal_names import format_lsn, parse_lsn
from services.postgres.connection import Address, connect
from services.postgres.server_user import server_user
from tests.pitr.lab import NAME, PointLab
from tests.pitr.servers import wait_for
from tests.support.run_context import RecordingRun


@dataclass(frozen=True)
class Story:
    """What happened on the source, in this order; all of it is archived."""

    lab: PointLab
    before_base: datetime
    acknowledged: int
    """The newest marker that was committed before ``before_drop``."""
    before_drop: datetime
    drop_xid: int
    after_name: str
    """A position after the restore point ``deploy``, which comes after the drop."""
    shipped: list[str]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], Story]]:
    """Return the story of a server of a major version; each is told once, when first asked for."""
    with ExitStack() as stack:
        made: dict[int, Story] = {}

        def tell(version: int) -> Story:
            if version not in made:
                made[version] = stack.enter_context(told(version, tmp_path_factory.mktemp("point")))
            return made[version]

        yield tell


@pytest.fixture(params=[15, 18])
def story(request: pytest.FixtureRequest, stories: Callable[[int], Story]) -> Story:
    return stories(request.param)


@pytest.fixture
def story15(stories: Callable[[int], Story]) -> Story:
    return stories(15)


@contextmanager
def told(version: int, home: Path) -> Iterator[Story]:
    """A server of which a base backup was taken under load, then a table dropped; then it stays idle."""
    lab = PointLab(version, home)
    try:
        before_base = lab.now()
        with lab.markers() as written:
            lab.base()
            time.sleep(0.4)
            acknowledged, before_drop = written[-1], lab.now()
            time.sleep(0.05)
            with connect(lab.server.address) as connection, connection.transaction():
                row = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
                connection.execute("DROP TABLE markers")
        assert row is not None
        lab.sql("CREATE TABLE after_drop (n int)")
        first = lab.ship()
        lab.sql("SELECT pg_create_restore_point('deploy')")
        after_name = lab.sql("SELECT pg_current_wal_lsn()::text")[0]
        lab.sql("INSERT INTO after_drop VALUES (1)")
        shipped = [*first, *lab.ship()]
        yield Story(lab, before_base, acknowledged, before_drop, int(row[0]), after_name, shipped)
    finally:
        lab.close()


class Look:
    """Asks the restored server while it runs."""

    def __init__(self, query: str, *values: object) -> None:
        self._query, self._values = query, values
        self.row: tuple[object, ...] = ()

    def __call__(self, recovered: Recovered) -> None:
        with connect(recovered.address.with_database("postgres")) as connection:
            row = connection.execute(self._query.encode(), self._values).fetchone()
            assert row is not None
            self.row = row


def test_every_marker_up_to_the_moment_before_the_drop_is_there_and_none_after(story: Story) -> None:
    look = Look("SELECT count(*), max(id), count(*) FILTER (WHERE at > %s) FROM markers", story.before_drop)
    report = story.lab.restore(story.before_drop.isoformat(), look)
    count, newest, later = look.row
    assert isinstance(newest, int)
    assert newest >= story.acknowledged
    assert (count, later) == (newest, 0)
    assert "recovery stopping before commit" in report.stopping
    assert report.last_commit_at is not None
    assert datetime.fromisoformat(report.last_commit_at) <= story.before_drop
    (found,) = [one for one in report.databases if one.name == "postgres"]
    assert (found.tables, found.rows, found.problem) == (1, newest, "")
    assert report.pg_verifybackup


def test_every_kind_of_target_is_reached(story15: Story) -> None:
    there = Look("SELECT to_regclass('markers') IS NOT NULL, to_regclass('after_drop') IS NOT NULL")
    lab, lsn = story15.lab, story15.after_name
    for to, inclusive, expected in (
        (f"xid:{story15.drop_xid}", False, (True, False)),
        ("name:deploy", True, (False, True)),
        (lsn, True, (False, True)),
    ):
        lab.restore(to, there, inclusive=inclusive)
        assert there.row == expected, (to, inclusive)
    counted = Look("SELECT count(*) FROM after_drop")
    lab.restore("latest", counted, timeline=1)
    assert counted.row == (1,)


def refused(story: Story, to: str, **options: object) -> InputError:
    with pytest.raises(InputError) as caught:
        story.lab.restore(to, **options)
    return caught.value


def test_a_point_that_cannot_be_is_refused_before_anything_is_fetched(story15: Story) -> None:
    naive = story15.before_drop.replace(tzinfo=None).isoformat()
    assert "has no zone" in str(refused(story15, naive))
    assert "2026-" in refused(story15, naive).hint or "Z for UTC" in refused(story15, naive).hint
    future = story15.lab.inst.clock() + timedelta(hours=1)
    assert "future" in str(refused(story15, future.isoformat()))
    assert "before the first base backup" in str(refused(story15, story15.before_base.isoformat()))
    beyond = format_lsn(parse_lsn(story15.after_name) + (64 << 20))
    assert "end of what is archived" in str(refused(story15, beyond))
    assert "timeline" in str(refused(story15, story15.after_name, timeline=7))
    assert "no point to restore to" in str(refused(story15, "yesterday"))


def test_a_name_that_does_not_exist_is_a_failure_and_not_the_end_of_the_archive(story15: Story) -> None:
    with pytest.raises(RestoreFailed, match="end of the archive before it reached the restore point nowhere"):
        story15.lab.restore("name:nowhere")


def test_a_missing_segment_is_refused_by_name_and_what_lies_before_it_is_reached(story15: Story) -> None:
    lab = story15.lab
    middle = story15.shipped[-2]
    path = lab.stored(middle)
    aside = path.with_name("aside")
    path.rename(aside)
    try:
        for to in (story15.after_name, "latest", "name:deploy"):
            with pytest.raises(BackupsError, match=middle) as caught:
                lab.restore(to, timeline=1)
            assert isinstance(caught.value, (InputError, SegmentMissing)), to
        lab.restore("immediate")
    finally:
        aside.rename(path)


def test_a_damaged_segment_fails_loudly_even_where_the_end_of_the_archive_is_asked_for(story15: Story) -> None:
    path = story15.lab.stored(story15.shipped[-1])
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 4  # of its content: a change in age's header may look like a key that does not fit
    path.write_bytes(damaged)
    try:
        with pytest.raises(CorruptBackup, match=story15.shipped[-1]):
            story15.lab.restore("latest", timeline=1)
    finally:
        path.write_bytes(whole)


def test_a_test_is_recorded_as_a_proof_of_the_base_backup_and_leaves_nothing(story15: Story) -> None:
    lab, target = story15.lab, RecoveryTarget.parse(story15.before_drop.isoformat())
    run = lab.run(commands.submit_point_test(lab.inst, NAME, target, actor="t", queue=False))
    assert (run.state, run.result["outcome"]) == ("finished", "passed"), f"{run.error} {run.hint}"
    report = PointReport.from_json(run.result["report"])
    (verification,) = lab.inst.catalog.verifications.list(backup_id=report.base_id, level="restore")
    assert verification.reason == report.summary
    assert PointReport.from_json(verification.detail) == report
    backup = lab.inst.catalog.backups.get(report.base_id)
    assert backup.proven_at is not None
    assert not backup.is_good
    assert not list((lab.inst.settings.home / "points").glob("*"))
    assert not list(Path("/var/tmp").glob(f"backups-{run.id}-*"))


def test_a_damaged_base_backup_is_condemned_by_the_test_that_finds_it(story15: Story) -> None:
    lab = story15.lab
    backup = lab.base()
    lab.ship()
    path = Path(backup.copies[0].location.removeprefix("file://"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    target = RecoveryTarget.parse("latest")
    run = lab.run(commands.submit_point_test(lab.inst, NAME, target, base=backup.name, actor="t", queue=False))
    assert run.result["outcome"] == "failed", f"{run.error} {run.hint}"
    found = lab.inst.catalog.backups.get(backup.id)
    assert (found.verification_passed, found.is_sound, found.copies[0].state) == (False, False, "damaged")
    lab.restore("latest")  # from the one before it


def test_for_real_the_folder_is_ready_to_start_and_the_new_timeline_can_be_restored_to(story: Story) -> None:
    lab = story.lab
    place = lab.outbox.parent / "restored"
    target = RecoveryTarget.parse(story.before_drop.isoformat())
    asked = commands.submit_point_restore(lab.inst, NAME, target, place, keep_archiving=True, actor="t", queue=False)
    run = lab.run(asked)
    assert run.state == "finished", f"{run.error} {run.hint}"
    assert (place.stat().st_mode & 0o777, place.stat().st_uid) == (0o700, server_user().uid)
    assert any("pg_ctl" in step for step in run.result["next_steps"])
    again = lab.run(commands.submit_point_restore(lab.inst, NAME, target, place, actor="t", queue=False))
    assert (again.state, again.result["exit_code"]) == ("failed", 2)
    assert "not empty" in again.error
    with lab.started(place) as restored:
        row = restored.sql("SELECT max(id) FROM markers")
        assert row[0] >= story.acknowledged
        restored.sql("INSERT INTO markers (at, filler) VALUES (clock_timestamp(), 'on the new timeline')")
        moment = restored.now()
        time.sleep(0.05)
        restored.sql("DELETE FROM markers")
        shipped = restored.ship()
        assert any(name.startswith("00000002") for name in shipped)
        look = Look("SELECT filler FROM markers ORDER BY id DESC LIMIT 1")
        report = lab.restore(moment.isoformat(), look)
        assert look.row == ("on the new timeline",)
        assert report.timeline == 3
        gone = Look("SELECT to_regclass('markers') IS NULL")
        lab.restore(story.after_name, gone, timeline=1)
        assert gone.row == (True,)
        with pytest.raises(InputError, match="timeline"):
            lab.restore(format_lsn(parse_lsn(story.after_name) + (32 << 20)), timeline=2)


def test_for_real_a_complete_folder_stays_where_its_server_is_killed_and_its_history_cannot_be_stored(
    story15: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(archive: WalArchive, path: Path) -> PushResult:
        raise StorageError(f"The storage took no {path.name}.")

    monkeypatch.setattr(WalArchive, "push", refuse)
    monkeypatch.setattr(recovery_server, "STOP_SECONDS", 0)  # it does not end in time, and is killed
    lab, place = story15.lab, story15.lab.outbox.parent / "kept"
    target = RecoveryTarget.parse("immediate", timeline=1)
    asked = commands.submit_point_restore(lab.inst, NAME, target, place, keep_archiving=True, actor="t", queue=False)
    run = lab.run(asked)
    assert run.state == "finished", f"{run.error} {run.hint}"
    assert (place / "global" / "pg_control").exists()
    (history,) = (place / "pg_wal").glob("*.history")
    said = [line.message for line in lab.inst.catalog.runs.log(run.id)]
    assert any("The folder is complete all the same" in line for line in said), said
    assert f"backups pitr wal-push -d {NAME} {history}" in run.result["next_steps"][0]
    assert PointReport.from_json(run.result["report"]).warning == run.result["next_steps"][0]
    shutil.rmtree(place)


def test_a_complete_folder_stays_when_nobody_can_look_into_it_and_stores_nothing_until_a_person_says_so(
    story15: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(address: Address, run: RunContext) -> tuple[DatabaseFound, ...]:
        raise ConnectionFailed("The connection was lost.")

    monkeypatch.setattr(restore_point, "look_around", fail)
    lab, place = story15.lab, story15.lab.outbox.parent / "looked at"
    before = {file.stored.key for file in lab.archive.files()}
    target = RecoveryTarget.parse("immediate", timeline=1)
    run = lab.run(commands.submit_point_restore(lab.inst, NAME, target, place, actor="t", queue=False))
    assert run.state == "finished", f"{run.error} {run.hint}"
    assert f"{place} is restored completely and stays" in run.result["next_steps"][0]
    with lab.started(place) as copy:
        assert copy.sql("SELECT current_setting('archive_mode')") == ("off",)
        copy.sql("CREATE TABLE seen (n int)", "SELECT pg_switch_wal()", "CHECKPOINT")
        assert {file.stored.key for file in lab.archive.files()} == before
        assert not list(lab.outbox.iterdir())
        (step,) = [step for step in run.result["next_steps"] if "take its source's place" in step]
        statements = re.findall(r"ALTER SYSTEM [^;]+;", step)
        assert statements == release_statements(place, 15)
        copy.sql(*statements)
        copy.server.stop()
        copy.server.start()
        copy.sql("SELECT pg_switch_wal()")
        wait_for(lambda: bool(list(lab.outbox.glob("*.history"))), "it does not archive afterwards")
    for path in lab.outbox.iterdir():
        path.unlink()  # of a copy that nobody goes on with


def test_a_damaged_history_of_another_timeline_keeps_nobody_from_this_one(story15: Story, tmp_path: Path) -> None:
    lab = story15.lab
    taken = max(list_archive(lab.archive).histories, default=1)
    history = tmp_path / f"{taken + 1:08X}.history"
    history.write_text("1\t0/300028\tno recovery target specified\n")
    path = Path(lab.inst.storage("primary").location(lab.archive.push(history).key).removeprefix("file://"))
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    try:
        assert lab.restore("immediate", timeline=1).timeline == taken + 2
        with pytest.raises(CorruptBackup, match=f"timeline {taken + 1}, whose history cannot be read"):
            lab.restore("latest")
    finally:
        path.unlink()


def test_what_the_source_had_set_by_itself_is_put_back(tmp_path: Path) -> None:
    command = "test ! -f '/srv/a\\b/%f' && cp %p"
    escaped = command.replace("\\", "\\\\").replace("'", "''")
    before = f"# Do not edit this file manually!\nport = '5433'\narchive_command = '{escaped}'\n"
    conf = tmp_path / "postgresql.auto.conf"
    conf.write_text(before)
    hold_archiving(tmp_path, 18, replace(server_user(), switch=False))
    assert release_statements(tmp_path, 18) == [
        "ALTER SYSTEM RESET archive_mode;",
        "ALTER SYSTEM SET archive_command = 'test ! -f ''/srv/a\\b/%f'' && cp %p';",
        "ALTER SYSTEM RESET archive_library;",
    ]
    subprocess.run(["sh", "-c", release_command(tmp_path)], check=True)
    assert conf.read_text() == before + "\n"


def test_a_complete_folder_stays_when_looking_into_it_is_cancelled(
    story15: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = story15.lab

    def cancel(address: Address, run: RunContext) -> tuple[DatabaseFound, ...]:
        commands.request_cancel(lab.inst, run.run_id, actor="t")
        wait_for(lambda: is_cancelled(run), "the cancel does not come")
        run.check_cancelled()
        raise AssertionError

    monkeypatch.setattr(restore_point, "look_around", cancel)
    place = lab.outbox.parent / "cancelled"
    target = RecoveryTarget.parse("immediate", timeline=1)
    run = lab.run(commands.submit_point_restore(lab.inst, NAME, target, place, actor="t", queue=False))
    said = [line.message for line in lab.inst.catalog.runs.log(run.id)]
    assert run.state == "cancelled", said
    assert any(f"{place} is restored completely and stays" in line for line in said), said
    assert (place / "global" / "pg_control").exists()
    shutil.rmtree(place)


def is_cancelled(run: RunContext) -> bool:
    try:
        run.check_cancelled()
    except Cancelled:
        return True
    return False


def test_a_database_whose_locale_is_missing_is_told_from_one_that_cannot_be_read(story15: Story) -> None:
    lab = story15.lab
    lab.sql("CREATE DATABASE elsewhere", "UPDATE pg_database SET datcollate = 'xx_XX' WHERE datname = 'elsewhere'")
    try:
        found = {one.name: one for one in look_around(lab.server.address, RecordingRun())}
    finally:
        lab.sql("DROP DATABASE elsewhere")
    assert (found["elsewhere"].rows, found["elsewhere"].lacks_locale) == (None, True), found["elsewhere"].problem
    assert (found["postgres"].problem, found["postgres"].lacks_locale) == ("", False)


def test_whatever_goes_wrong_while_the_restored_server_runs_it_is_ended_and_removed(story15: Story) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        story15.lab.restore("latest", Look("SELECT * FROM nowhere"))
    assert not list((story15.lab.inst.settings.home / "points").glob("*"))


def test_nothing_of_the_sources_configuration_is_used(story15: Story) -> None:
    lab = story15.lab
    settings = {
        "shared_preload_libraries": "not_installed_here", "archive_command": "touch /tmp/archived", "port": "1",
        "max_connections": "7", "listen_addresses": "*", "ssl": "on", "recovery_target_name": "elsewhere",
    }  # fmt: skip
    lab.sql(*(f"ALTER SYSTEM SET {name} = '{value}'" for name, value in settings.items()))
    try:
        name = lab.base().name
        lab.ship()
    finally:
        lab.sql(*(f"ALTER SYSTEM RESET {name}" for name in settings))
    query = "SELECT current_setting('listen_addresses'), current_setting('archive_mode'), inet_server_addr()::text"
    asked = Look(query)
    lab.restore("latest", asked, base=name, timeline=1)
    assert asked.row == ("", "off", None)
    place = lab.outbox.parent / "restored_with_settings"
    target = RecoveryTarget.parse("latest", timeline=1)
    run = lab.run(commands.submit_point_restore(lab.inst, NAME, target, place, base=name, actor="t", queue=False))
    assert run.state == "finished", f"{run.error} {run.hint}"
    assert "not_installed_here" in (place / "postgresql.auto.conf").read_text()
    shutil.rmtree(place)


class StopsInRecovery(RecordingRun):
    """A run during whose recovery something happens to the server, once: ``act`` gets the server's process id."""

    def __init__(self, act: Callable[[StopsInRecovery, int], None]) -> None:
        super().__init__()
        self._act = act
        self._done = False

    def progress(self, bytes_done: int) -> None:
        super().progress(bytes_done)
        servers = [what for kind, what in self.leftovers if kind == "process"]
        if self.phases[-1] == "replaying the log" and servers and not self._done:
            self._done = True
            self._act(self, int(servers[-1]["pid"]))


@pytest.mark.parametrize("stopped", [False, True])
def test_a_cancel_ends_the_server_at_once_even_one_that_has_stopped_answering(story15: Story, stopped: bool) -> None:
    lab, pids = story15.lab, []

    def act(run: StopsInRecovery, pid: int) -> None:
        pids.append(pid)
        if stopped:
            os.kill(pid, signal.SIGSTOP)
        run.cancel()

    plan = plan_point(lab.inst, NAME, RecoveryTarget.parse("immediate"))
    began = time.monotonic()
    with pytest.raises(Cancelled):
        restore_to_point(lab.inst, plan, StopsInRecovery(act))
    assert time.monotonic() - began < 30
    assert not psutil.pid_exists(pids[0])
    assert not list((lab.inst.settings.home / "points").glob("*"))
