"""Places in the queue that go astray: freed, and their runs put back, on both engines of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services import commands
from services.backups.request import BackupRequest
from services.installation import Installation
from services.jobs import queue
from services.jobs.identity import DeathWatch, process_identity
from services.jobs.queue import Place
from services.jobs.reconcile import QueueWatch
from services.postgres.server import LocalServer
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase

HOST = process_identity().rsplit(":", 2)[0]
DEAD = f"{HOST}:1:1"  # there is a process 1, but it did not start in 1970
ELSEWHERE = "elsewhere:7:1"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["sqlite", "postgresql"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    more = {}
    if request.param == "postgresql":
        server: LocalServer = request.getfixturevalue("server18")
        database: NewDatabase = request.getfixturevalue("database")
        more["catalog_url"] = SecretStr(database(server).url().get_secret_value())
    made = make_installation(tmp_path, **more)
    yield made
    made.close()


def watch(installation: Installation, *in_hand: str, clock: Clock | None = None) -> QueueWatch:
    death = DeathWatch(clock=clock) if clock else DeathWatch()
    return QueueWatch(installation, death, worker=process_identity(), in_hand=lambda: in_hand)


def submit(installation: Installation) -> str:
    return commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada")


def take(installation: Installation, place_id: str, worker: str) -> None:
    """Do what DBOS does when a worker takes a place."""
    prefix = "" if installation.catalog.engine.dialect.name == "sqlite" else "dbos."
    statement = (
        f"UPDATE {prefix}workflow_status SET status = 'PENDING', executor_id = :worker WHERE workflow_uuid = :id"
    )
    with installation.catalog.engine.begin() as connection:
        assert connection.execute(sa.text(statement), {"worker": worker, "id": place_id}).rowcount == 1


def beat(installation: Installation, worker: str) -> None:
    installation.catalog.workers.beat(worker, version="1", now=installation.clock())


def waiting(place_id: str) -> Place:
    return Place(place_id, "waiting", None)


def test_what_has_its_place_is_let_be(installation: Installation) -> None:
    run_id = submit(installation)
    assert watch(installation).look() == []
    assert queue.places(installation.catalog) == [waiting(f"{run_id}-0")]


def test_a_worker_that_died_before_it_began_gives_up_its_place(installation: Installation) -> None:
    run_id = submit(installation)
    beat(installation, DEAD)
    take(installation, f"{run_id}-0", DEAD)
    assert watch(installation).look() == [run_id]
    assert queue.places(installation.catalog) == [waiting(f"{run_id}-0.1")]
    assert watch(installation).look() == [], "once is enough"


def test_the_place_of_a_run_that_is_over_is_freed_for_the_next_in_its_lane(installation: Installation) -> None:
    run_id, following = submit(installation), submit(installation)
    runs = installation.catalog.runs
    runs.finish(runs.claim(run_id, worker=DEAD, now=installation.clock()), state="finished", now=installation.clock())
    take(installation, f"{run_id}-0", DEAD)
    assert watch(installation).look() == []
    assert queue.places(installation.catalog) == [waiting(f"{following}-0")]


def test_a_worker_elsewhere_keeps_its_place_while_its_heart_beats(installation: Installation) -> None:
    run_id, clock = submit(installation), Clock()
    looking = watch(installation, clock=clock)
    take(installation, f"{run_id}-0", ELSEWHERE)
    for _ in range(5):
        beat(installation, ELSEWHERE)
        assert looking.look() == []
        clock.now += 20
    clock.now += 11
    assert looking.look() == [run_id]


def test_a_place_of_ours_that_was_never_begun_is_given_back(installation: Installation) -> None:
    begun, astray = submit(installation), submit(installation)
    for run_id in (begun, astray):
        take(installation, f"{run_id}-0", process_identity())
    looking = watch(installation, f"{begun}-0")
    assert looking.look() == [], "it may have been taken this very moment"
    assert looking.look() == [astray]
    assert {place.id for place in queue.places(installation.catalog)} == {f"{begun}-0", f"{astray}-0.1"}


def test_a_worker_that_ends_hands_back_all_that_it_has_not_begun(installation: Installation) -> None:
    run_id = submit(installation)
    take(installation, f"{run_id}-0", process_identity())
    assert watch(installation, f"{run_id}-0").hand_back() == [run_id]
    assert queue.places(installation.catalog) == [waiting(f"{run_id}-0.1")]


def test_each_place_that_is_lost_is_followed_by_another(installation: Installation) -> None:
    run_id = submit(installation)
    for lost in (f"{run_id}-0", f"{run_id}-0.1", f"{run_id}-0.2"):
        take(installation, lost, DEAD)
        assert watch(installation).look() == [run_id]
    assert queue.places(installation.catalog) == [waiting(f"{run_id}-0.3")]


def test_workers_that_put_the_queue_right_at_once_make_one_place(installation: Installation) -> None:
    run_ids = [submit(installation) for _ in range(5)]
    for run_id in run_ids:
        take(installation, f"{run_id}-0", DEAD)
    with ThreadPoolExecutor(4) as pool:
        for found in [pool.submit(watch(installation).look) for _ in range(4)]:
            found.result()
    assert sorted(place.id for place in queue.places(installation.catalog)) == [f"{one}-0.1" for one in sorted(run_ids)]


def test_what_is_worked_on_in_the_foreground_needs_no_place(installation: Installation) -> None:
    queue.prepare_queue(installation.catalog)
    commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada", queue=False)
    assert watch(installation).look() == []


def test_a_run_that_is_cancelled_meanwhile_is_not_put_back(installation: Installation) -> None:
    run = installation.catalog.runs.get(submit(installation))
    commands.request_cancel(installation, run.id, actor="bob")
    assert not installation.catalog.runs.enqueue_again(run, lambda *_: pytest.fail("put back"))
