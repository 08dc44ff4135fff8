"""A slot's run that failed is tried again within the deadline, unless only a person can mend what it failed of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.catalog.model import Run
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.server import LocalServer
from services.schedules.overview import load_schedule
from services.schedules.standing import judge_slots, recent_slots
from services.schedules.start_due import start_due_runs
from services.schedules.sync import sync_schedules
from tests.catalog.rows import make_backup
from tests.schedules.conftest import NewInstallation, SetClock
from tests.support.servers import NewDatabase

NOBODY = "postgresql://u:p@127.0.0.1:1/la_factoria"
"""Where nothing listens."""
NEVER_AGAIN = ("2026-11-22T02:05", "2026-11-22T02:20", "2026-11-22T03:00", "2026-11-22T05:59")


def look(inst: Installation, *times: str) -> list[Run]:
    """Have a worker look at these times, and work on what it starts; return the runs as they ended."""
    clock = inst.clock
    assert isinstance(clock, SetClock)
    ended = []
    for text in times:
        clock.set(text)
        ended += [execute_run(inst, run_id, worker=process_identity()) for run_id in start_due_runs(inst)]
    return ended


def cause(inst: Installation) -> str | None:
    """Return why the last slot was missed."""
    slots = recent_slots(inst.catalog.schedules.all(), "la_factoria", inst.clock())[-1:]
    last = judge_slots(inst, {"la_factoria": slots}, inst.clock())["la_factoria"].last_settled
    return last.cause if last else None


def test_a_server_that_is_away_is_tried_again_after_5_minutes_and_15_more_each_time_by_a_run_of_its_own(
    new_installation: NewInstallation, clock: SetClock
) -> None:
    inst = new_installation(settings={"url": NOBODY})
    sync_schedules(inst)
    [first] = look(inst, "2026-11-22T02:00", "2026-11-22T02:04:59")
    assert (first.state, first.reason, first.result["may_pass"]) == ("failed", "", True)
    [second] = look(inst, "2026-11-22T02:05", "2026-11-22T02:05:05", "2026-11-22T02:19:59")
    assert (second.actor, second.reason) == ("schedule", f"Retry 1 of 2: run {first.id} failed.")
    assert second.params["slot"] == first.params["slot"]
    assert second.params["type"] == "scheduled"
    [third] = look(inst, "2026-11-22T02:20", "2026-11-22T02:20:05")
    assert third.reason == f"Retry 2 of 2: run {second.id} failed."
    assert look(inst, "2026-11-22T02:35", "2026-11-22T05:59", "2026-11-22T12:00") == []
    assert cause(inst) == f"Its run and 2 retries failed: {third.error}"
    assert [run.reason for run in look(inst, "2026-11-23T02:00")] == [""], "the next slot begins anew"


def test_a_retry_that_works_satisfies_the_slot(
    new_installation: NewInstallation, server18: LocalServer, database: NewDatabase
) -> None:
    inst = new_installation(settings={"url": NOBODY})
    sync_schedules(inst)
    [failed] = look(inst, "2026-11-22T02:00")
    url = database(server18, "CREATE TABLE t (i int);").url()
    there = replace_url(inst, url)
    [retry] = look(there, "2026-11-22T02:05")
    assert (failed.state, retry.state) == ("failed", "finished")
    assert look(there, *NEVER_AGAIN) == []
    assert cause(there) == "", "it was not missed"


def replace_url(inst: Installation, url: SecretStr) -> Installation:
    [database] = inst.settings.databases
    changed = database.model_copy(update={"url": url})
    return Installation(inst.settings.model_copy(update={"databases": (changed,)}), inst.catalog, inst.clock)


def test_what_a_person_must_mend_is_not_tried_again(
    new_installation: NewInstallation, server18: LocalServer, database: NewDatabase
) -> None:
    address = database(server18, "CREATE TABLE t (i int);")
    wrong = replace(address, password=SecretStr("planted")).url().get_secret_value()
    inst = new_installation(settings={"url": wrong})
    sync_schedules(inst)
    [run] = look(inst, "2026-11-22T02:00", *NEVER_AGAIN)
    assert "refuses the password" in run.error
    assert run.result == {"exit_code": 1, "may_pass": False}
    look(inst, "2026-11-22T12:00")
    assert cause(inst) == f"Its run failed: {run.error}"


def test_a_pattern_that_matches_nothing_is_not_tried_again(
    new_installation: NewInstallation, server18: LocalServer, database: NewDatabase
) -> None:
    url = database(server18).url().get_secret_value()
    inst = new_installation(settings={"url": url}, exclude_tables=("nowhere.*",))
    sync_schedules(inst)
    [run] = look(inst, "2026-11-22T02:00", *NEVER_AGAIN)
    assert (run.state, run.result["may_pass"]) == ("failed", False)


def test_no_retry_begins_after_the_deadline(new_installation: NewInstallation) -> None:
    inst = new_installation(settings={"url": NOBODY}, schedule_deadline="10min")
    sync_schedules(inst)
    assert len(look(inst, "2026-11-22T02:00", *NEVER_AGAIN)) == 2, "the second retry would begin 20 minutes after it"


def test_a_worker_that_was_away_over_a_retry_makes_it_up_within_the_deadline_only(
    new_installation: NewInstallation,
) -> None:
    inst = new_installation(settings={"url": NOBODY})
    sync_schedules(inst)
    assert len(look(inst, "2026-11-22T02:00", "2026-11-22T06:00")) == 2
    assert len(look(inst, "2026-11-23T02:00", "2026-11-23T06:00:01")) == 1


def cancelled(inst: Installation, run_id: str) -> None:
    inst.catalog.runs.request_cancel(run_id, actor="ada", now=inst.clock())


def satisfied_by_hand(inst: Installation, run_id: str) -> None:
    execute_run(inst, run_id, worker=process_identity())
    inst.catalog.backups.add(make_backup(finished_at=inst.clock()))


@pytest.mark.parametrize("what", [cancelled, satisfied_by_hand])
def test_what_was_cancelled_or_is_satisfied_meanwhile_is_not_tried_again(
    new_installation: NewInstallation, clock: SetClock, what: Callable[[Installation, str], None]
) -> None:
    inst = new_installation(settings={"url": NOBODY})
    sync_schedules(inst)
    clock.set("2026-11-22T02:00")
    [run_id] = start_due_runs(inst)
    what(inst, run_id)
    assert look(inst, *NEVER_AGAIN) == []


def test_other_jobs_are_tried_again_too_and_the_schedule_says_when(
    new_installation: NewInstallation, tmp_path: Path, clock: SetClock
) -> None:
    inst = new_installation(schedule="off", settings={"janitor_schedule": "0 2 * * *"})
    sync_schedules(inst)
    clock.set("2026-11-22T02:00")
    [run_id] = start_due_runs(inst)
    claim = inst.catalog.runs.claim(run_id, worker=process_identity(), now=clock())
    inst.catalog.runs.finish(claim, state="failed", now=clock(), error="The network was away.")
    last = load_schedule(inst, "janitor").last
    assert last is not None
    assert last.cause == "The network was away. It is tried again at 02:05 UTC."
    assert [run.reason for run in look(inst, "2026-11-22T02:05")] == [f"Retry 1 of 2: run {run_id} failed."]
    done = load_schedule(inst, "janitor").last
    assert done is not None
    assert (done.state, done.cause) == ("finished", "")
