"""Runs: claims, locks, logs, cancels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from services.catalog.catalog import Catalog
from services.catalog.model import LogLine
from services.catalog.runs import Claim, ClaimLost
from services.errors import Busy, InputError, UnknownName
from tests.catalog.rows import NOW

AddRun = Callable[..., str]


def test_a_run_exists_before_its_work_starts(catalog: Catalog, add_run: AddRun) -> None:
    run = catalog.runs.get(add_run(params={"x": [1]}, reason="deploy"))
    assert (run.state, run.attempt, run.started_at, run.params) == ("queued", 0, None, {"x": [1]})
    assert run.queued_at == NOW


def test_a_claimed_run_is_running_and_another_cannot_claim_it(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    claim = catalog.runs.claim(run_id, worker="h:1:1", now=NOW)
    run = catalog.runs.get(run_id)
    assert (run.state, run.worker, run.attempt, run.started_at) == ("running", "h:1:1", 1, NOW)
    assert claim == Claim(run_id, "h:1:1", 1)
    with pytest.raises(ClaimLost):
        catalog.runs.claim(run_id, worker="h:2:1", now=NOW)


def test_two_backups_of_one_database_exclude_each_other_until_the_first_ends(catalog: Catalog, add_run: AddRun) -> None:
    first, second = add_run(), add_run()
    claim = catalog.runs.claim(first, worker="h:1:1", now=NOW)
    with pytest.raises(Busy, match="la_factoria"):
        catalog.runs.claim(second, worker="h:2:1", now=NOW)
    assert catalog.runs.get(second).state == "queued"
    catalog.runs.finish(claim, state="finished", now=NOW)
    catalog.runs.claim(second, worker="h:2:1", now=NOW)


def test_other_databases_and_checks_do_not_wait_for_a_backup(catalog: Catalog, add_run: AddRun) -> None:
    catalog.runs.claim(add_run(), worker="h:1:1", now=NOW)
    catalog.runs.claim(add_run(database="billing"), worker="h:1:1", now=NOW)
    catalog.runs.claim(add_run("restore_test"), worker="h:1:1", now=NOW)


def test_of_twenty_workers_that_claim_at_once_one_wins(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()

    def claim(number: int) -> bool:
        try:
            catalog.runs.claim(run_id, worker=f"h:{number}:1", now=NOW)
        except (ClaimLost, Busy):
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(claim, range(20))) == 1


def test_whoever_lost_its_claim_writes_nothing(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    old = catalog.runs.claim(run_id, worker="h:1:1", now=NOW)
    assert catalog.runs.take_back(catalog.runs.get(run_id), state="queued", now=NOW)
    new = catalog.runs.claim(run_id, worker="h:2:1", now=NOW)
    with pytest.raises(ClaimLost):
        catalog.runs.finish(old, state="failed", now=NOW)
    with pytest.raises(ClaimLost):
        catalog.runs.beat(old, now=NOW, phase="x", phase_started_at=NOW, bytes_done=1, bytes_total=None)
    with pytest.raises(ClaimLost), catalog.engine.begin() as connection:
        catalog.runs.check_claim(old, connection)
    catalog.runs.finish(new, state="finished", now=NOW, result={"backup_id": "b"})
    run = catalog.runs.get(run_id)
    assert (run.state, run.attempt, run.backup_id) == ("finished", 2, "b")


def test_progress_is_seen_and_a_cancel_is_heard_with_the_next_beat(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    claim = catalog.runs.claim(run_id, worker="h:1:1", now=NOW)
    beat: dict[str, Any] = {"phase": "dumping", "phase_started_at": NOW, "bytes_done": 2**40, "bytes_total": 2**41}
    assert catalog.runs.beat(claim, now=NOW, **beat) is False
    run = catalog.runs.get(run_id)
    assert (run.phase, run.bytes_done, run.bytes_total) == ("dumping", 2**40, 2**41)
    catalog.runs.request_cancel(run_id, actor="bob", now=NOW)
    assert catalog.runs.beat(claim, now=NOW, **beat) is True
    assert catalog.runs.get(run_id).cancel_requested_by == "bob"


def test_a_queued_run_is_cancelled_at_once_and_an_ended_one_not_at_all(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    assert catalog.runs.request_cancel(run_id, actor="bob", now=NOW).state == "cancelled"
    ended = add_run()
    catalog.runs.finish(catalog.runs.claim(ended, worker="h:1:1", now=NOW), state="finished", now=NOW)
    with pytest.raises(InputError, match="finished"):
        catalog.runs.request_cancel(ended, actor="bob", now=NOW)


def test_an_idempotency_key_makes_one_run(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run(idempotency_key="click-1")
    with pytest.raises(IntegrityError):
        add_run(idempotency_key="click-1")
    found = catalog.runs.by_idempotency_key("click-1")
    assert found is not None
    assert found.id == run_id


def test_log_lines_come_back_in_order_all_later_ones_or_the_last(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    catalog.runs.add_log(run_id, [LogLine(NOW + timedelta(seconds=i), "info", f"line {i}") for i in range(30)])
    assert [line.message for line in catalog.runs.log(run_id, after=28)] == ["line 28", "line 29"]
    assert [line.message for line in catalog.runs.log(run_id, last=2)] == ["line 28", "line 29"]
    assert len(catalog.runs.log(run_id)) == 30


def test_leftovers_are_remembered_until_they_are_gone(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    catalog.runs.add_leftover(run_id, {"kind": "process", "pid": "1"})
    catalog.runs.add_leftover(run_id, {"kind": "folder", "path": "/x"})
    catalog.runs.remove_leftover(run_id, {"kind": "process", "pid": "1"})
    assert catalog.runs.leftovers(run_id) == [{"kind": "folder", "path": "/x"}]


def test_leftovers_that_are_remembered_at_once_are_all_there(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    entries = [{"kind": "process", "pid": str(number)} for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda entry: catalog.runs.add_leftover(run_id, entry), entries))
    assert sorted(catalog.runs.leftovers(run_id), key=lambda entry: int(entry["pid"])) == entries


def test_runs_are_listed_newest_first_and_filtered(catalog: Catalog, add_run: AddRun) -> None:
    old = add_run(now=NOW - timedelta(days=2))
    new = add_run("verification", database="billing", backup_id="b")
    assert [run.id for run in catalog.runs.list()] == [new, old]
    assert [run.id for run in catalog.runs.list(database="billing")] == [new]
    assert [run.id for run in catalog.runs.list(kind="backup")] == [old]
    assert [run.id for run in catalog.runs.list(backup_id="b")] == [new]
    assert [run.id for run in catalog.runs.list(since=NOW - timedelta(days=1))] == [new]
    assert [run.id for run in catalog.runs.list(limit=1)] == [new]
    assert {run.id for run in catalog.runs.active()} == {new, old}


def test_an_unknown_run_says_what_comes_close(catalog: Catalog, add_run: AddRun) -> None:
    run_id = add_run()
    with pytest.raises(UnknownName, match=run_id):
        catalog.runs.get(run_id[:-1] + "!")
