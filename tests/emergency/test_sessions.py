"""Whose sessions are ended: those that were there before, as far as an owner without a superuser's rights can see."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from services import commands
from services.clock import utc_now
from services.emergency.plan import make_plan
from services.emergency.read_only import read_facts, visit
from services.emergency.request import EmergencyRequest
from services.emergency.switch import refuse_own_catalog
from services.errors import InputError
from services.installation import Installation
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.connection import Address, connect
from tests.emergency.conftest import REASON, MakeInstallation, can_write, emergency, wait_for

OWNER, APPLICATION = "emergency_owner", "emergency_app"
EVERYBODY = ("emergency_owner", "emergency_app")


@pytest.fixture
def owned(make: MakeInstallation, source: Address) -> Iterator[Installation]:
    """An installation as the documentation advises: an owner that is no superuser, and an application of its own."""
    with connect(source) as connection:
        for role in EVERYBODY:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'p-1'").format(sql.Identifier(role)))
        name = sql.Identifier(source.dbname)
        connection.execute("GRANT pg_signal_backend TO emergency_owner")
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO emergency_owner").format(name))
        connection.execute("GRANT ALL ON content TO emergency_app")
    yield make(owner_url=_as(source, OWNER))
    with connect(source) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO CURRENT_USER").format(name))
        connection.execute("DROP OWNED BY emergency_owner, emergency_app; DROP ROLE emergency_owner, emergency_app")


def _as(source: Address, user: str) -> str:
    return f"postgresql://{user}:p-1@{source.host}:{source.port}/{source.dbname}"


@pytest.fixture
def application(owned: Installation, source: Address) -> Iterator[Callable[[], int]]:
    """Three connections of an application that connects again whenever one is lost; returns how often one was."""
    del owned
    done, lost, there = threading.Event(), [0], threading.Semaphore(0)

    def keep_connected() -> None:
        while not done.is_set():
            try:
                with psycopg.connect(_as(source, APPLICATION), autocommit=True) as connection:
                    there.release()
                    while not done.wait(0.05):
                        connection.execute("SELECT 1")
            except psycopg.OperationalError:
                lost[0] += 1

    threads = [threading.Thread(target=keep_connected) for _ in range(3)]
    for thread in threads:
        thread.start()
        there.acquire()
    yield lambda: lost[0]
    done.set()
    for thread in threads:
        thread.join()


def test_an_application_that_connects_again_is_ended_once(
    owned: Installation, source: Address, application: Callable[[], int]
) -> None:
    run = emergency(owned)
    assert run.state == "finished", run.error
    assert application() == 3, "those that came after the switch cannot write, and are left alone"
    assert any("3 sessions ended" in line.message for line in owned.catalog.runs.log(run.id))
    assert can_write(source)


def test_new_sessions_are_not_waited_for(owned: Installation, source: Address, application: Callable[[], int]) -> None:
    """With those of before gone, a wait ends although others have come."""
    ending = threading.Thread(target=_end_all_once_it_is_on, args=[source])
    ending.start()
    run = emergency(owned, sessions="wait-or-stop", wait=timedelta(seconds=30))
    ending.join()
    assert run.state == "finished", run.error
    assert application() == 3


def _end_all_once_it_is_on(source: Address) -> None:
    wait_for(lambda: not can_write(source))
    with connect(source) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [APPLICATION])


def test_nobody_is_ended_when_there_are_sessions_that_may_not_be(
    owned: Installation, source: Address, application: Callable[[], int]
) -> None:
    with connect(source, application_name="a superuser") as superuser:
        for way in ("end", "wait"):
            run = emergency(owned, sessions=way, wait=timedelta(0))
            assert run.state == "failed"
            assert "may not be ended by us" in run.error
        superuser.execute("INSERT INTO content VALUES (-1)")
    assert application() == 0
    assert can_write(source)


def test_the_plan_says_that_an_owner_cannot_see_when_sessions_began(owned: Installation) -> None:
    said = [check.message for check in make_plan(owned, EmergencyRequest("la_factoria", REASON)).problems]
    assert any("cannot see when sessions began" in message for message in said), said


def test_a_catalogue_in_the_database_that_would_be_switched_is_refused(
    installation: Installation, source: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sa.create_engine(source.url().get_secret_value().replace("postgresql://", "postgresql+psycopg://"))
    try:
        with visit(installation.settings.databases[0]) as connection:
            facts = read_facts(connection, installation.settings.databases[0])
        own = SimpleNamespace(catalog=SimpleNamespace(engine=engine))
        with pytest.raises(InputError, match="is in la_factoria itself"):
            refuse_own_catalog(cast(Installation, own), installation.settings.databases[0], facts)
        elsewhere = replace(facts, identity="another")
        refuse_own_catalog(cast(Installation, own), installation.settings.databases[0], elsewhere)
    finally:
        engine.dispose()


def test_what_is_asked_for_too_long_ago_is_backed_up_without_read_only_mode(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish = EmergencyRequest("la_factoria", REASON)
    run_id = commands.submit_emergency(installation, wish, actor="ada", queue=False)
    late = Installation(installation.settings, installation.catalog, lambda: utc_now() + timedelta(minutes=11))
    run = execute_run(late, run_id, worker=process_identity())
    assert run.state == "finished", run.error
    assert any("without read-only mode" in line.message for line in installation.catalog.runs.log(run_id))
    assert installation.catalog.read_only_modes.of_run(run_id) == []


def test_a_wait_that_outlasts_the_limit_is_refused(installation: Installation) -> None:
    hopeless = EmergencyRequest(
        "la_factoria", REASON, sessions="wait", wait=timedelta(minutes=5), limit=timedelta(minutes=2)
    )
    with pytest.raises(InputError, match="while sessions are still waited for"):
        make_plan(installation, hopeless)
