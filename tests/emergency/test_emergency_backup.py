"""An emergency backup on a real server: writes stop while it is made, and go on after it, whatever becomes of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from services import commands
from services.backups import create
from services.emergency.plan import make_plan
from services.emergency.request import EmergencyRequest
from services.errors import InputError
from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.postgres.connection import Address, Connection, connect
from tests.emergency.conftest import REASON, MakeInstallation, can_write, emergency, setting

AtPhase = Callable[[str, Callable[[ActiveRun], None]], list[str]]
PHASES = (
    "switching to read-only mode",
    "ending sessions that can write",
    "dumping",
    "storing",
    "verifying",
)


@pytest.fixture
def at_phase(monkeypatch: pytest.MonkeyPatch) -> AtPhase:
    """Return a function that has something done whenever a run has just entered the phase; it returns those seen."""

    def hook(wanted: str, do: Callable[[ActiveRun], None]) -> list[str]:
        seen: list[str] = []
        enter = ActiveRun.phase

        def phase(self: ActiveRun, name: str, *, total_bytes: int | None = None) -> None:
            enter(self, name, total_bytes=total_bytes)
            seen.append(name)
            if name == wanted:
                do(self)

        monkeypatch.setattr(ActiveRun, "phase", phase)
        return seen

    return hook


def lose_connections(source: Address) -> None:
    """End every session in the database, as a network or a server that fails does."""
    with connect(source.with_database("postgres")) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [source.dbname])


def test_writes_stop_while_an_emergency_backup_is_made_and_go_on_after_it(
    installation: Installation, source: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, bool] = {}
    enter = ActiveRun.phase

    def phase(self: ActiveRun, name: str, *, total_bytes: int | None = None) -> None:
        seen[name] = can_write(source)
        enter(self, name, total_bytes=total_bytes)

    monkeypatch.setattr(ActiveRun, "phase", phase)
    run = emergency(installation)
    assert run.state == "finished", run.error
    assert {name for name, writable in seen.items() if writable} == {"checking first", "switching to read-only mode"}
    assert set(PHASES) < set(seen)
    assert can_write(source)
    assert setting(source) == []
    (mode,) = installation.catalog.read_only_modes.of_run(run.id)
    assert (mode.actor, mode.released_by, mode.sql_step) == ("ada", "its run", False)
    (backup,) = installation.catalog.backups.list()
    assert (backup.type, backup.verification_passed) == ("emergency", True)
    assert [(copy.storage, copy.state) for copy in backup.copies] == [("primary", "stored"), ("second", "stored")]
    levels = {(v.storage, v.level) for v in installation.catalog.verifications.list(backup_id=backup.id)}
    assert levels == {("primary", "checksum"), ("second", "stored")}
    for name in ("primary", "second"):
        stored = [entry.key for entry in installation.storage(name).list("la_factoria/")]
        assert len([key for key in stored if key.endswith(".manifest.json")]) == 1, "each storage alone gives it back"


@pytest.mark.parametrize("phase", PHASES)
def test_a_connection_that_is_lost_in_any_phase_leaves_the_database_writable(
    installation: Installation, source: Address, at_phase: AtPhase, phase: str
) -> None:
    seen = at_phase(phase, lambda _: lose_connections(source))
    run = emergency(installation)
    assert phase in seen
    assert can_write(source), (run.state, run.error)
    assert setting(source) == []
    assert installation.catalog.read_only_modes.unreleased() == []
    if run.state == "failed":
        assert [entry.key for name in ("primary", "second") for entry in installation.storage(name).list()] == []


@pytest.mark.parametrize("phase", ["switching to read-only mode", "dumping"])
def test_a_cancel_leaves_the_database_writable(
    installation: Installation, source: Address, at_phase: AtPhase, phase: str
) -> None:
    def cancel(active: ActiveRun) -> None:
        commands.request_cancel(installation, active.run_id, actor="ada")
        end = time.monotonic() + 20
        while active.stop_error is None and time.monotonic() < end:
            time.sleep(0.05)

    at_phase(phase, cancel)
    assert emergency(installation).state == "cancelled"
    assert can_write(source)
    assert installation.catalog.read_only_modes.unreleased() == []


def test_a_dump_that_fails_leaves_the_database_writable_and_nothing_in_any_storage(
    installation: Installation, source: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = create.dump_stream

    def broken(*args: Any, **kwargs: Any) -> Any:
        return dump(*args, **(kwargs | {"snapshot_id": "00000000-00000000-1"}))  # which pg_dump is refused

    monkeypatch.setattr(create, "dump_stream", broken)
    run = emergency(installation)
    assert run.state == "failed"
    assert "pg_dump" in run.error
    assert can_write(source)
    assert [entry.key for name in ("primary", "second") for entry in installation.storage(name).list()] == []
    assert installation.catalog.backups.list() == []


@pytest.mark.parametrize(("before", "phase"), [("on", "nothing is lost"), ("on", "dumping"), ("off", "dumping")])
def test_what_was_set_before_is_set_after_it(
    installation: Installation, source: Address, at_phase: AtPhase, before: str, phase: str
) -> None:
    with connect(source) as connection:
        name = sql.Identifier(source.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(name, before))
    at_phase(phase, lambda _: lose_connections(source))
    run = emergency(installation)
    assert run.state == ("failed" if phase == "dumping" else "finished"), run.error
    assert setting(source) == [f"default_transaction_read_only={before}"]
    assert can_write(source) is (before == "off")


def test_sessions_that_could_go_on_writing_are_ended(installation: Installation, source: Address) -> None:
    with connect(source, application_name="the application") as writer:
        writer.execute("BEGIN; INSERT INTO content VALUES (0)")
        run = emergency(installation)
        assert run.state == "finished", run.error
        assert writer.closed or not _answers(writer)
    assert any("1 session ended" in line.message for line in installation.catalog.runs.log(run.id))


def test_sessions_are_waited_for_and_then_ended(installation: Installation, source: Address) -> None:
    with connect(source, application_name="the application") as writer:
        early = threading.Timer(1.0, writer.close)
        early.start()
        run = emergency(installation, sessions="wait", wait=timedelta(seconds=30))
        assert any("0 sessions ended" in line.message for line in installation.catalog.runs.log(run.id)), run.error
    with connect(source, application_name="the application") as writer:
        run = emergency(installation, sessions="wait", wait=timedelta(seconds=1))
        assert run.state == "finished"
        assert not _answers(writer)


def test_the_backup_is_given_up_when_a_session_outlasts_the_wait_and_that_was_asked_for(
    installation: Installation, source: Address
) -> None:
    with connect(source, application_name="the application") as writer:
        run = emergency(installation, sessions="wait-or-stop", wait=timedelta(seconds=0))
        assert run.state == "failed"
        assert "1 session could still write" in run.error
        writer.execute("INSERT INTO content VALUES (-1)")
    assert can_write(source)


def test_it_is_dumped_by_as_many_sessions_as_are_asked_for_and_the_plan_says_so(installation: Installation) -> None:
    request = EmergencyRequest("la_factoria", REASON, jobs=2)
    plan = make_plan(installation, request)
    assert any("by 2 sessions at once" in step for step in plan.steps)
    run = emergency(installation, jobs=2)
    assert run.state == "finished", run.error
    backup = installation.catalog.backups.get(run.backup_id or "")
    assert (backup.format, len(backup.copies)) == ("directory", 2)
    with pytest.raises(InputError, match="0 jobs"):
        emergency(installation, jobs=0)


def test_the_plan_of_what_is_queued_says_that_no_worker_runs(installation: Installation) -> None:
    request = EmergencyRequest("la_factoria", REASON)
    assert [check.name for check in make_plan(installation, request).problems].count("worker") == 1
    assert "worker" not in [check.name for check in make_plan(installation, request, queued=False).problems]
    installation.catalog.workers.beat("here:1:1", version="0", now=installation.clock())
    assert "worker" not in [check.name for check in make_plan(installation, request).problems]


def test_whoever_may_not_switch_the_database_is_told_before_anything_is_done(
    make: MakeInstallation, source: Address
) -> None:
    with connect(source) as connection:
        connection.execute(
            "DROP ROLE IF EXISTS emergency_reader; CREATE ROLE emergency_reader LOGIN PASSWORD 'reader-1'"
        )
        connection.execute("GRANT pg_read_all_data TO emergency_reader")
    try:
        installation = make(url=_as(source, "emergency_reader", "reader-1"))
        plan = make_plan(installation, EmergencyRequest("la_factoria", "why"))
        assert plan.is_blocked
        assert not plan.is_passable
        assert "neither the owner" in plan.problems[0].message
        run = emergency(installation)
        assert (run.state, run.result["exit_code"]) == ("failed", 2)
        assert installation.catalog.read_only_modes.of_run(run.id) == []
        assert emergency(installation, read_only=False).state == "finished"
    finally:
        with connect(source) as connection:
            connection.execute("DROP OWNED BY emergency_reader; DROP ROLE emergency_reader")


def _as(source: Address, user: str, password: str) -> str:
    return f"postgresql://{user}:{password}@{source.host}:{source.port}/{source.dbname}"


def _answers(connection: Connection) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True
