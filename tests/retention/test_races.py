"""A cleanup beside runs that read what it would delete, and beside other cleanups: one of the two gives way, always."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

import services.jobs.use_cases as use_cases
import services.retention.delete_copy as delete_copy
from services import commands
from services.backups.holding import hold_backup
from services.catalog.deletions import Begun, Cause, Refused
from services.catalog.model import Run
from services.errors import InputError
from services.jobs.active_run import ActiveRun
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from tests.retention.conftest import on_both_engines
from tests.retention.lab import Lab

LIMIT = 60.0


class Gate:
    """A point at which somebody stands still until the test lets him go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.open.wait(LIMIT)


@contextmanager
def beside(work: Callable[[], Run], gate: Gate) -> Iterator[Future[Run]]:
    """Do the work in a thread; the block begins when it stands at the gate, and the gate opens with its end."""
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(work)
        try:
            assert gate.reached.wait(LIMIT)
            yield doing
        finally:
            gate.open.set()


def reading(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    """Have every verification stand still while it reads."""

    def read(installation: Any, run: Run, active: Any) -> dict[str, Any]:
        gate.wait()
        backup = installation.catalog.backups.get(run.backup_id)
        content = installation.storage("primary").get(backup.copies[0].key)
        return {"outcome": "passed", "bytes": len(content)}

    for kind in ("verification", "restore_test", "restore"):
        monkeypatch.setitem(use_cases.USE_CASES, kind, read)  # type: ignore[arg-type]


def submit(lab: Lab, name: str, level: str = "restore") -> str:
    return commands.submit_verification(lab.inst, lab.get(name).id, level, actor="eve", queue=False)  # type: ignore[arg-type]


def outcomes(run: Run) -> dict[str, tuple[str, str]]:
    return {item["name"]: (item["outcome"], item["error"]) for item in run.result["items"]}


@on_both_engines
@pytest.mark.parametrize("level", ["restore", "checksum"])
def test_a_cleanup_passes_over_what_a_test_reads_and_takes_the_rest(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    lab.daily(12)
    gate = Gate()
    reading(monkeypatch, gate)
    run_id = submit(lab, "d9", level)
    seen = [lab.get(name).id for name in ("d8", "d9", "d10", "d11")]
    with beside(lambda: lab.carry_out(run_id), gate) as test:
        planned = lab.clean(apply=False)
        assert set(outcomes(planned)) == {"d8", "d10", "d11"}
        run = lab.clean(only=seen)
        assert outcomes(run) == {"d8": ("deleted", ""), "d9": ("kept", "active"),
                                 "d10": ("deleted", ""), "d11": ("deleted", "")}  # fmt: skip
        assert lab.get("d9").state == "finished"
    assert test.result().state == "finished", test.result().error
    assert set(outcomes(lab.clean())) == {"d9"}


@on_both_engines
def test_a_test_that_is_asked_for_after_the_plan_keeps_its_backup(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deletion looks for runs in its own transaction: the plan may be minutes old."""
    lab.daily(12)
    asked: list[str] = []
    guarded = ActiveRun.guarded

    @contextmanager
    def asked_for_right_before(self: ActiveRun) -> Iterator[Any]:
        if not asked and lab.get("d10").state == "expired":  # the next one to be deleted is d9
            with ThreadPoolExecutor(1) as pool:
                asked.append(pool.submit(submit, lab, "d9").result(LIMIT))
        with guarded(self) as connection:
            yield connection

    monkeypatch.setattr(ActiveRun, "guarded", asked_for_right_before)
    run = lab.clean()
    assert outcomes(run)["d9"] == ("skipped", "active")
    assert lab.get("d9").state == "finished"
    gate = Gate()
    gate.open.set()
    reading(monkeypatch, gate)
    assert lab.carry_out(asked[0]).result["outcome"] == "passed"


@on_both_engines
def test_a_run_that_starts_while_its_backup_is_being_deleted_is_refused(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.daily(12)
    gate = Gate()
    reading(monkeypatch, gate)
    delete = lab.inst.storage("primary").delete

    def delete_slowly(key: str) -> None:
        if key.endswith("d9.dump.zst.age"):
            gate.wait()
        delete(key)

    monkeypatch.setattr(lab.inst.storage("primary"), "delete", delete_slowly)
    early = submit(lab, "d11")  # asked for before, not started yet: it keeps its backup
    with beside(lab.clean, gate) as cleanup:
        with pytest.raises(InputError, match="d9 is being deleted"):
            submit(lab, "d9")
        with pytest.raises(InputError, match="d9 is being deleted"):
            commands.set_pin(lab.inst, lab.get("d9").id, pinned=True, actor="eve")
        late = lab.inst.catalog.runs.add(  # asked for by somebody who saw the catalogue a moment earlier
            kind="restore_test", database="la_factoria", backup_id=lab.get("d9").id, actor="eve", reason="",
            params={"level": "restore", "storage": None}, now=lab.now,
        )  # fmt: skip
        refused = lab.carry_out(late.id)
        assert refused.state == "failed"
        assert "d9 is being deleted" in refused.error
        assert refused.result["exit_code"] == 2
    result = outcomes(cleanup.result())
    assert result["d9"] == ("deleted", "")
    assert "d11" not in result
    assert lab.get("d11").state == "finished"
    assert lab.carry_out(early).result["outcome"] == "passed"
    with pytest.raises(InputError, match="has expired"):
        submit(lab, "d9")
    with pytest.raises(InputError, match="has expired"):
        commands.set_pin(lab.inst, lab.get("d9").id, pinned=True, actor="eve")


@on_both_engines
def test_of_a_run_and_a_deletion_that_begin_at_once_exactly_one_goes_on(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thirty times, both released by one barrier: never is a byte read of what is deleted, nor do both give way."""
    lab.daily(45)
    backups = lab.plan().going[:30]
    read: list[str] = []

    def read_it(installation: Any, run: Run, active: Any) -> dict[str, Any]:
        backup = installation.catalog.backups.get(run.backup_id)
        installation.storage("primary").get(backup.copies[0].key)  # raises when it is gone
        read.append(backup.name)
        return {"outcome": "passed"}

    monkeypatch.setitem(use_cases.USE_CASES, "verification", read_it)
    other = Lab(lab.settings)
    barrier = threading.Barrier(2)

    def test_it(run_id: str) -> Run:
        barrier.wait(LIMIT)
        return execute_run(other.inst, run_id, worker=process_identity())

    def delete_it(backup_id: str) -> Run:
        run_id = commands.submit_cleanup(lab.inst, apply=True, only=[backup_id], actor="ada", queue=False)
        barrier.wait(LIMIT)
        return lab.carry_out(run_id)

    with ThreadPoolExecutor(2) as pool:
        for backup in backups:
            late = lab.inst.catalog.runs.add(
                kind="verification", database="la_factoria", backup_id=backup.id, actor="eve", reason="",
                params={"level": "checksum", "storage": None}, now=lab.now,
            )  # fmt: skip
            # Not seen by the plan: as if it were asked for right after.
            monkeypatch.setattr("services.retention.live.ACTIVE_STATES", ("nothing",))
            testing, cleaning = pool.submit(test_it, late.id), pool.submit(delete_it, backup.id)
            tested, cleaned = testing.result(LIMIT), cleaning.result(LIMIT)
            [(outcome, _)] = outcomes(cleaned).values()
            assert (tested.state, outcome) in (("finished", "skipped"), ("finished", "deleted"), ("failed", "deleted"))
            assert (tested.state == "finished") is (backup.name in read)
            assert "Object" not in tested.error
            assert "not there" not in tested.error
    other.inst.close()


@on_both_engines
def test_what_moves_a_backup_sees_that_its_deletion_was_just_begun(lab: Lab) -> None:
    """The deletion had looked for holders before there was one; whoever holds after it must wait, and then see it."""
    lab.daily(12)
    backup = lab.plan().going[0]
    catalog = lab.inst.catalog
    cleanup, mover = (
        catalog.runs.add(kind=kind, database="la_factoria", actor="ada", reason="", params={}, now=lab.now)
        for kind in ("cleanup", "archive")
    )
    catalog.runs.claim(mover.id, worker="host:1", now=lab.now)
    other = Lab(lab.settings)
    waiting = threading.Event()

    def move() -> str:
        waiting.set()
        with hold_backup(other.inst, backup.id, mover.id) as held:
            return held.state

    with ThreadPoolExecutor(1) as pool:
        with catalog.engine.begin() as connection:
            begun = catalog.deletions.begin(backup.id, Cause(cleanup.id, "ada", ""), now=lab.now, connection=connection)
            assert isinstance(begun, Begun)
            moving = pool.submit(move)
            assert waiting.wait(LIMIT)
            with pytest.raises(TimeoutError):
                moving.result(0.3)  # it stands until the deletion is either begun or not
        assert moving.result(LIMIT) == "deleting"
    other.inst.close()


@on_both_engines
def test_no_deletion_begins_while_a_backup_is_held(lab: Lab) -> None:
    lab.daily(12)
    backup = lab.plan().going[0]
    catalog = lab.inst.catalog
    mover = catalog.runs.add(kind="archive", database="la_factoria", actor="ada", reason="", params={}, now=lab.now)
    catalog.runs.claim(mover.id, worker="host:1", now=lab.now)
    cause = Cause("another", "ada", "")
    with hold_backup(lab.inst, backup.id, mover.id) as held, catalog.engine.begin() as connection:
        assert held.state == "finished"
        refused = catalog.deletions.begin(backup.id, cause, now=lab.now, connection=connection)
        assert isinstance(refused, Refused)
        assert refused.because == "active"


@on_both_engines
def test_two_cleanups_at_once_delete_each_backup_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all databases and one for this: their locks differ, so both work at the same time."""
    lab.daily(40)
    deleted: list[str] = []
    delete = delete_copy._delete_object
    monkeypatch.setattr(delete_copy, "_delete_object", lambda storage, key: (deleted.append(key), delete(storage, key)))
    other = Lab(lab.settings)
    barrier = threading.Barrier(2)

    def clean(one: Lab, database: str | None) -> Run:
        run_id = commands.submit_cleanup(one.inst, apply=True, database=database, actor="ada", queue=False)
        barrier.wait(LIMIT)
        return one.carry_out(run_id)

    with ThreadPoolExecutor(2) as pool:
        runs = [
            done.result(LIMIT) for done in (pool.submit(clean, lab, None), pool.submit(clean, other, "la_factoria"))
        ]
    assert [run.state for run in runs] == ["finished", "finished"], [run.error for run in runs]
    assert [run.result["failed"] for run in runs] == [0, 0]
    gone = {name for name, state in lab.states().items() if state == "expired"}
    assert len(deleted) == len(set(deleted)) == len(gone) == sum(run.result["deleted"] for run in runs)
    log = lab.inst.catalog.deletions.list()
    assert {row.outcome for row in log} == {"deleted"}
    assert len(log) == len(gone)
    assert [backup.name for backup in lab.plan().going] == []
    other.inst.close()


def test_a_cleanup_that_is_cancelled_ends_between_two_backups(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.daily(12)
    gate = Gate()
    look = delete_copy.is_there

    def look_slowly(storage: Any, key: str) -> bool:
        if not gate.reached.is_set():
            gate.wait()
        return look(storage, key)

    monkeypatch.setattr(delete_copy, "is_there", look_slowly)
    stop, stopped = ActiveRun.stop, threading.Event()
    monkeypatch.setattr(ActiveRun, "stop", lambda self, error: (stop(self, error), stopped.set()))
    run_id = commands.submit_cleanup(lab.inst, apply=True, actor="ada", queue=False)
    with beside(lambda: lab.carry_out(run_id), gate) as cleanup:
        commands.request_cancel(lab.inst, run_id, actor="eve")
        assert stopped.wait(LIMIT), "the heart brings it the cancel"
    run = cleanup.result()
    assert run.state == "cancelled"
    assert lab.states()["d11"] == "expired", "what was begun is ended"
    assert lab.states()["d10"] == "finished"
