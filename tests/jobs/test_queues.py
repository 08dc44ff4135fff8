"""Queues: a database's runs go to the workers that serve its queue, and to those that nobody else would serve."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from services import commands
from services.backups.request import BackupRequest
from services.catalog.model import Run
from services.errors import SettingsError, UnknownName
from services.installation import Installation, open_configured
from services.jobs import queue, use_cases, worker
from services.jobs.identity import DeathWatch, process_identity
from services.jobs.reconcile import QueueWatch
from services.jobs.recovery import recover_dead_runs
from services.jobs.worker import run_worker
from services.settings.load import load_settings
from services.settings.model import DatabaseSettings
from tests.jobs.test_worker import wait_for
from tests.jobs.use_cases import Backup
from tests.support.installations import UNSCHEDULED, make_installation


def databases(**queues: str) -> tuple[DatabaseSettings, ...]:
    url = SecretStr("postgresql://u:p@127.0.0.1:1/x")
    return tuple(DatabaseSettings(name=name, url=url, queue=q, **UNSCHEDULED) for name, q in queues.items())


@pytest.fixture
def inst(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    made = make_installation(tmp_path, databases=databases(orders="default", billing="eu", audit="eu"))
    stand_in = Backup()
    stand_in.go.set()
    monkeypatch.setitem(use_cases.USE_CASES, "backup", stand_in)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.2)
    yield made
    made.close()


def submit(inst: Installation, database: str) -> str:
    return commands.submit_backup(inst, BackupRequest(database), actor="ada")


def state(inst: Installation, run_id: str) -> str:
    return inst.catalog.runs.get(run_id).state


def test_a_worker_takes_what_its_queues_have_and_leaves_the_rest(inst: Installation) -> None:
    assert inst.settings.queues == ("default", "eu")
    other, first, second = submit(inst, "orders"), submit(inst, "billing"), submit(inst, "audit")
    stop = threading.Event()
    thread = threading.Thread(target=run_worker, args=(inst,), kwargs={"stop": stop, "queues": ["eu"]})
    thread.start()
    try:
        wait_for(lambda: {state(inst, first), state(inst, second)} == {"finished"})
        (row,) = inst.catalog.workers.list()
        assert row.serves == ("eu",)
        assert state(inst, other) == "queued"
        # The same machine's settings change: the database that waits is now of a queue that this worker serves.
        moved = inst.settings.model_copy(update={"databases": databases(orders="eu", billing="eu", audit="eu")})
        changed = open_configured(moved)
        watch = QueueWatch(changed, DeathWatch(), worker="elsewhere:1:1", in_hand=lambda: ())
        assert watch.look() == [other], "nobody serves the queue in which it waited"
        wait_for(lambda: state(inst, other) == "finished")
        changed.close()
    finally:
        stop.set()
        thread.join(30)


def test_a_place_in_a_queue_that_somebody_serves_is_let_be(inst: Installation) -> None:
    run_id = submit(inst, "orders")
    inst.catalog.workers.beat("elsewhere:1:1", version="1", now=inst.clock(), queues=("default",))
    moved = inst.settings.model_copy(update={"databases": databases(orders="eu", billing="eu", audit="eu")})
    changed = open_configured(moved)
    assert QueueWatch(changed, DeathWatch(), worker=process_identity(), in_hand=lambda: ()).look() == []
    (place,) = queue.places(changed.catalog)
    assert (place.attempt, place.queue) == (f"{run_id}-0", "runs")
    changed.close()


def test_a_dead_run_is_looked_after_where_its_storage_is(inst: Installation) -> None:
    """Or anywhere, when no worker of its queue is alive: better said than running for ever."""
    run_id = submit(inst, "billing")
    inst.catalog.runs.claim(run_id, worker=process_identity().rsplit(":", 1)[0] + ":1", now=inst.clock())
    here = worker._State(inst, process_identity(), ("default",))

    def looks_after(run: Run) -> bool:
        return worker._looks_after(here, run)

    inst.catalog.workers.beat("elsewhere:1:1", version="1", now=inst.clock(), queues=("eu",))
    enqueue = queue.enqueuer(inst)
    assert recover_dead_runs(inst, DeathWatch(), enqueue=enqueue, looks_after=looks_after) == []
    assert state(inst, run_id) == "running"
    inst.catalog.workers.remove("elsewhere:1:1")
    (recovered,) = recover_dead_runs(inst, DeathWatch(), enqueue=enqueue, looks_after=looks_after)
    assert (recovered.id, recovered.state) == (run_id, "queued")
    eu = replace(here, queues=("eu",))
    assert worker._looks_after(eu, recovered)


def test_a_queue_that_the_settings_do_not_have_is_refused(inst: Installation) -> None:
    with pytest.raises(UnknownName, match=r"No queue is called 'ue'\. Did you mean eu"):
        run_worker(inst, queues=["ue"])


def test_the_command_line_names_queues(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from services.cli.main import app

    asked: list[object] = []
    monkeypatch.setattr(worker, "run_worker", lambda _inst, queues: asked.append(queues))
    monkeypatch.setattr("services.cli.serve_commands.configure_logging", lambda *_: None)
    environ = {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "BACKUP_STORAGE": f"file://{tmp_path}/s",
        "BACKUPS_HOME": str(tmp_path / "home"), "BACKUP_RECIPIENTS": make_recipient(),
    }  # fmt: skip
    for words in (["worker"], ["worker", "--queues", "eu, default"], ["worker", "--queues", ","]):
        done = CliRunner().invoke(app, words, env=environ)
        assert (done.exit_code == 0) == (words[-1] != ","), done.output
    assert asked == [None, ["eu", "default"]]
    assert "names no queue" in done.output


def test_whoever_starts_a_container_again_is_told_whether_its_worker_lives(tmp_path: Path) -> None:
    from services.cli.main import app

    inst = make_installation(tmp_path / "home", databases=databases(orders="default"))
    environ = {
        "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x", "BACKUP_STORAGE": f"file://{tmp_path}/s",
        "BACKUPS_HOME": str(tmp_path / "home"), "BACKUP_RECIPIENTS": make_recipient(),
    }  # fmt: skip
    inst.catalog.workers.beat("elsewhere:1:1", version="1", now=inst.clock())
    done = CliRunner().invoke(app, ["worker", "--check"], env=environ)
    assert (done.exit_code, done.output.strip()) == (1, "No worker of this machine is heard.")
    inst.catalog.workers.beat(process_identity(), version="1", now=inst.clock())
    done = CliRunner().invoke(app, ["worker", "--check"], env=environ)
    assert (done.exit_code, "is alive" in done.output) == (0, True)
    inst.close()


def make_recipient() -> str:
    from services.stream.encryption import generate_key

    return generate_key()[1]


def test_a_queue_s_name_is_plain(tmp_path: Path) -> None:
    file = tmp_path / "backups.toml"
    file.write_text(
        '[[storages]]\nname = "s"\nurl = "file:///srv/s"\n'
        '[[databases]]\nname = "d"\nurl = "postgresql://u:p@h/d"\nencrypt = false\nqueue = "e u"\n'
    )
    with pytest.raises(SettingsError, match=r"databases\[d\]\.queue"):
        load_settings({"BACKUPS_CONFIG": str(file)})
