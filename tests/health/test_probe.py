"""The daily health check: a run that records the list and tries each connection, and what comes of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services import commands
from services.catalog.model import Run
from services.health.again import probe_again
from services.health.checks import examine
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.overview import load_statuses
from services.postgres.server import LocalServer
from services.storage.local import LocalStorage
from tests.catalog.rows import make_backup, make_verification
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase
from tests.support.time import TestClock


def carry_out(inst: Installation, *, deep: bool = True) -> Run:
    run_id = commands.submit_health(inst, deep=deep, actor="schedule", queue=False)
    return execute_run(inst, run_id, worker=process_identity())


def states(run: Run) -> dict[str, str]:
    return {check["key"]: check["severity"] for check in run.result["checks"]}


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


def test_a_health_check_tries_each_connection_and_records_the_list(
    server18: LocalServer, database: NewDatabase, tmp_path: Path
) -> None:
    address = database(server18, "CREATE TABLE t (i int);")
    inst = make_installation(tmp_path / "home", url=address.url().get_secret_value())
    run = carry_out(inst)
    assert run.state == "finished"
    found = states(run)
    assert found["connection:database/la_factoria"] in ("ok", "warning"), "a superuser is warned of"
    assert found["access:storage/primary"] == "ok"
    assert found["keys:installation"] == "ok"
    assert found["backup_age:database/la_factoria"] == "failure"
    assert run.result["outcome"] == "failed", "a list with a failure in it is no success"
    assert "1 failure" in run.result["reason"]
    inst.close()


def test_what_the_probes_found_is_in_the_list_for_a_day(tmp_path: Path, clock: TestClock) -> None:
    inst = make_installation(tmp_path / "home", clock=clock)
    assert "connection:database/la_factoria" not in [check.key for check in examine(inst).checks]
    carry_out(inst)
    clock.forward(hours=3)
    found = {check.key: check for check in examine(inst).checks}["connection:database/la_factoria"]
    assert found.severity == "failure"
    assert "nothing listens" in found.sentence
    assert "Tried 3 h ago." in found.sentence
    clock.forward(hours=24)
    assert "connection:database/la_factoria" not in [check.key for check in examine(inst).checks]
    inst.close()


def test_a_shallow_one_tries_nothing_and_hides_no_deep_one(
    tmp_path: Path, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = make_installation(tmp_path / "home", clock=clock)
    carry_out(inst)
    clock.forward(minutes=1)
    refuse: Callable[..., None] = lambda *_: pytest.fail("a connection was tried")  # noqa: E731
    monkeypatch.setattr("services.health.probe.probe", refuse)
    run = carry_out(inst, deep=False)
    assert run.result["probes"] == []
    assert states(run)["connection:database/la_factoria"] == "failure"
    inst.close()


def test_a_paused_database_is_not_tried(tmp_path: Path, clock: TestClock) -> None:
    inst = make_installation(tmp_path / "home", clock=clock, database={"paused": True})
    assert "connection:database/la_factoria" not in states(carry_out(inst))
    inst.close()


def test_a_storage_that_refuses_is_a_failure_with_its_reason(tmp_path: Path, clock: TestClock) -> None:
    inst = make_installation(tmp_path / "home", clock=clock)
    shutil.rmtree(tmp_path / "home" / "storage")
    (tmp_path / "home" / "storage").write_text("a file where the folder should be")
    run = carry_out(inst)
    assert states(run)["access:storage/primary"] == "failure"
    clock.forward(seconds=timedelta(minutes=1).total_seconds())
    assert "access:storage/primary" in [check.key for check in examine(inst).checks]
    inst.close()


def test_what_could_not_be_used_is_tried_again_soon_and_ends_when_it_is_mended(
    tmp_path: Path, clock: TestClock
) -> None:
    """The status is not green meanwhile: a backup that nobody can reach restores nothing."""
    inst = make_installation(tmp_path / "home", clock=clock, database={"restore_test_max_age": "35d"})
    backup = make_backup(finished_at=clock(), snapshot_at=clock())
    inst.catalog.backups.add(backup)
    (tmp_path / "home" / "storage" / "la_factoria" / "b.dump").touch()
    inst.catalog.verifications.add(make_verification(backup, "restore", "passed", at=clock()))
    assert load_statuses(inst)[0].state == "PROTECTED"
    storage = tmp_path / "home" / "storage"
    storage.rename(tmp_path / "aside")
    storage.write_text("a file where the folder should be")
    carry_out(inst)
    clock.forward(minutes=1)
    [status] = load_statuses(inst)
    assert status.state == "UNKNOWN"
    assert "Storage primary could not be used 1 min ago:" in status.reasons[0].text

    assert probe_again(inst) is None, "it was tried a minute ago"
    clock.forward(minutes=15)
    again = probe_again(inst)
    assert again is not None
    assert probe_again(inst) == again, "asked for once, whoever asks"
    assert execute_run(inst, again, worker=process_identity()).result["outcome"] == "failed"
    storage.unlink()
    (tmp_path / "aside").rename(storage)
    clock.forward(minutes=15)
    mended = probe_again(inst)
    assert mended not in (None, again)
    execute_run(inst, str(mended), worker=process_identity())
    assert load_statuses(inst)[0].state == "PROTECTED"
    inst.close()


@pytest.mark.parametrize("how", ["backup", "further copy"])
def test_a_run_that_has_stored_something_since_ends_what_a_probe_found(
    tmp_path: Path, clock: TestClock, how: str
) -> None:
    inst = make_installation(tmp_path / "home", clock=clock, database={"restore_test_max_age": "35d"})
    proven = make_backup("proven", finished_at=clock(), snapshot_at=clock())
    inst.catalog.backups.add(proven)
    inst.catalog.verifications.add(make_verification(proven, "restore", "passed", at=clock()))
    storage = tmp_path / "home" / "storage"
    shutil.rmtree(storage)
    storage.write_text("a file where the folder should be")
    carry_out(inst)
    storage.unlink()
    storage.mkdir()
    (storage / "proven").touch()
    clock.forward(minutes=1)
    assert load_statuses(inst)[0].state == "UNKNOWN"
    failed = {check.key: check.severity for check in examine(inst).checks}
    assert (failed["access:storage/primary"], failed["connection:database/la_factoria"]) == ("failure", "failure")

    if how == "backup":
        now = clock.forward(minutes=1)
        inst.catalog.backups.add(make_backup("later", started_at=now, finished_at=now, snapshot_at=now))
    else:
        run = inst.catalog.runs.add(
            kind="copy", database="la_factoria", actor="worker", reason="", params={}, now=clock.forward(minutes=1)
        )
        claim = inst.catalog.runs.claim(run.id, worker="w", now=clock())
        inst.catalog.runs.finish(claim, state="finished", now=clock(), result={"storage": "primary"})
    assert load_statuses(inst)[0].state == "PROTECTED"
    after = {check.key: check.severity for check in examine(inst).checks}
    assert after["access:storage/primary"] == "ok"
    assert after["connection:database/la_factoria"] == ("ok" if how == "backup" else "failure")
    clock.forward(minutes=15)
    assert (probe_again(inst) is None) == (how == "backup"), "the database is tried again where nothing used it"
    inst.close()


def test_nothing_is_tried_again_where_everything_could_be_used(
    server18: LocalServer, database: NewDatabase, tmp_path: Path, clock: TestClock
) -> None:
    address = database(server18, "CREATE TABLE t (i int);")
    inst = make_installation(tmp_path / "home", url=address.url().get_secret_value(), clock=clock)
    assert probe_again(inst) is None, "nothing was tried yet"
    carry_out(inst)
    clock.forward(hours=2)
    assert probe_again(inst) is None
    inst.close()


def test_a_storage_is_tried_once_however_many_databases_are_stored_in_it(
    tmp_path: Path, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inst = make_installation(tmp_path / "home", clock=clock)
    [one] = inst.settings.databases
    others = tuple(one.model_copy(update={"name": name}) for name in ("orders", "billing"))
    inst.settings = inst.settings.model_copy(update={"databases": (one, *others)})
    tried: list[str] = []
    probe = LocalStorage.probe
    monkeypatch.setattr(LocalStorage, "probe", lambda self: (tried.append(self.name), probe(self))[1])
    assert states(carry_out(inst))["access:storage/primary"] == "ok"
    assert tried == ["primary"]
    inst.close()


def test_an_emptied_storage_is_one_failure_though_it_can_be_written_to(tmp_path: Path, clock: TestClock) -> None:
    """As an emptied bucket, or one under another prefix: all is well with it but that it holds nothing."""
    inst = make_installation(tmp_path / "home", clock=clock)
    inst.catalog.backups.add(make_backup(finished_at=clock(), snapshot_at=clock()))
    (tmp_path / "home" / "storage" / "somebody-elses").touch()
    run = carry_out(inst)
    [found] = [check for check in run.result["checks"] if check["key"] == "access:storage/primary"]
    assert found["severity"] == "failure"
    assert found["sentence"].startswith("It looks empty, or is another one: nothing is there of the copy")
    (tmp_path / "home" / "storage" / "la_factoria" / "b.dump").touch()
    assert states(carry_out(inst))["access:storage/primary"] == "ok"
    inst.close()


def test_the_facts_ask_once_for_the_last_probes(tmp_path: Path, clock: TestClock) -> None:
    inst = make_installation(tmp_path / "home", clock=clock)
    carry_out(inst)
    asked: list[str] = []
    sa.event.listen(inst.catalog.engine, "before_cursor_execute", lambda *args: asked.append(f"{args[2]} {args[3]}"))
    examine(inst)
    assert sum("health" in query and "deep" in query for query in asked) == 1
    inst.close()
