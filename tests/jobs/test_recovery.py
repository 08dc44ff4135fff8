"""After a crash: what is removed, what is let be, and how the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services import commands
from services.backups.manifest import to_document, write_manifest
from services.backups.request import BackupRequest
from services.catalog.model import Run
from services.installation import Installation
from services.jobs.identity import DeathWatch
from services.jobs.recovery import ABANDONED_AFTER, recover_dead_runs
from tests.catalog.rows import make_backup
from tests.support.installations import make_installation

GONE = "this-host-is-gone:1:1"


class EverybodyIsDead(DeathWatch):
    def is_dead(self, run: Run) -> bool:
        return True


def dead_backup(installation: Installation, *, queued: bool = True) -> str:
    """Return the id of a backup run whose process died while it was storing ``la_factoria/b1.dump.zst.age``."""
    run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="t", queue=queued)
    installation.catalog.runs.claim(run_id, worker=GONE, now=installation.clock())
    entry = {
        "kind": "object",
        "storage": "primary",
        "key": "la_factoria/b1.dump.zst.age",
        "manifest": "la_factoria/b1.manifest.json",
    }
    installation.catalog.runs.add_leftover(run_id, entry)
    installation.storage("primary").put(entry["key"], b"0123456789")
    return run_id


def recover(installation: Installation, enqueue: Callable[[Run, sa.Connection], None] | None = None) -> list[Run]:
    return recover_dead_runs(installation, EverybodyIsDead(), enqueue=enqueue)


def stored(installation: Installation) -> list[str]:
    return [entry.key for entry in installation.storage("primary").list()]


@pytest.fixture
def installation(tmp_path: Path) -> Any:
    made = make_installation(tmp_path)
    yield made
    made.close()


def test_an_object_without_manifest_is_removed_and_the_run_is_queued_again(installation: Installation) -> None:
    run_id = dead_backup(installation)
    queued: list[tuple[str, int, str]] = []
    recover(installation, lambda run, _: queued.append((run.id, run.attempt, run.state)))
    assert queued == [(run_id, 1, "queued")]
    assert installation.catalog.runs.get(run_id).state == "queued"
    assert stored(installation) == []


def test_a_run_that_cannot_be_queued_again_stays_as_it_was(installation: Installation) -> None:
    run_id = dead_backup(installation)

    def fail(_run: Run, _connection: sa.Connection) -> None:
        raise RuntimeError("the queue is away")

    with pytest.raises(RuntimeError):
        recover(installation, fail)
    assert installation.catalog.runs.get(run_id).state == "running", "else nobody would ever work on it"


def test_without_a_queue_the_run_is_lost_and_says_so(installation: Installation) -> None:
    run_id = dead_backup(installation)
    recover(installation)
    run = installation.catalog.runs.get(run_id)
    assert run.state == "lost"
    assert GONE in run.error
    assert "removed" in run.hint


def test_a_complete_backup_is_recorded_instead_of_made_again(installation: Installation) -> None:
    run_id = dead_backup(installation)
    backup = make_backup("b1", run_id=run_id)
    write_manifest(installation.settings, installation.storage("primary"), to_document(backup, None))
    (run,) = recover(installation, lambda *_: pytest.fail("queued again"))
    assert (run.state, run.backup_id) == ("finished", backup.id)
    assert installation.catalog.backups.get(backup.id).trust == "signed"


@pytest.mark.parametrize("whose", ["another run's", "unreadable", "unsigned"])
def test_what_a_manifest_that_is_not_ours_may_name_is_let_be(installation: Installation, whose: str) -> None:
    run_id = dead_backup(installation)
    storage = installation.storage("primary")
    backup = make_backup("b1", run_id="another" if whose == "another run's" else run_id)
    if whose == "another run's":
        write_manifest(installation.settings, storage, to_document(backup, None))
    elif whose == "unreadable":
        storage.put("la_factoria/b1.manifest.json", b'{"manifest_version": 99}')
    else:
        keyless = installation.settings.model_copy(update={"encryption_key": None})
        write_manifest(keyless, storage, to_document(backup, None))
    recover(installation)
    assert stored(installation) == ["la_factoria/b1.dump.zst.age", "la_factoria/b1.manifest.json"]
    assert installation.catalog.backups.list() == []
    assert any("not removed" in line.message for line in installation.catalog.runs.log(run_id))


def test_a_run_that_died_too_often_is_lost(installation: Installation) -> None:
    run_id = dead_backup(installation)
    for _ in range(2):
        recover(installation, lambda *_: None)
        installation.catalog.runs.claim(run_id, worker=GONE, now=installation.clock())
    recover(installation, lambda *_: pytest.fail("started a fourth time"))
    assert installation.catalog.runs.get(run_id).state == "lost"


def test_a_cancelled_run_is_not_started_again(installation: Installation) -> None:
    run_id = dead_backup(installation)
    commands.request_cancel(installation, run_id, actor="bob")
    recover(installation, lambda *_: pytest.fail("started again"))
    assert installation.catalog.runs.get(run_id).state == "lost"


def test_a_folder_that_a_dead_process_of_this_machine_left_is_removed(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = dead_backup(installation)
    folder = tmp_path / "spool-of-the-run"
    folder.mkdir()
    installation.catalog.runs.add_leftover(run_id, {"kind": "folder", "path": str(folder)})
    monkeypatch.setattr("services.jobs.recovery.socket.gethostname", lambda: GONE.split(":", maxsplit=1)[0])
    recover(installation)
    assert not folder.exists()


def test_whoever_wanted_to_work_in_the_foreground_and_never_began_is_not_waited_for(tmp_path: Path) -> None:
    now = [make_backup().finished_at]
    installation = make_installation(tmp_path, clock=lambda: now[0])
    run_id = commands.submit_backup(installation, BackupRequest("la_factoria"), actor="t", queue=False)
    recover(installation)
    assert installation.catalog.runs.get(run_id).state == "queued"
    now[0] += ABANDONED_AFTER + timedelta(seconds=1)
    recover(installation)
    assert installation.catalog.runs.get(run_id).state == "failed"
    installation.close()
