"""A small database in two storages, and an emergency backup of it carried out in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from services import commands
from services.catalog.model import Run
from services.emergency.request import EmergencyRequest
from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.settings.model import StorageSettings
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase

SOURCE = "CREATE TABLE content (id bigint PRIMARY KEY); INSERT INTO content SELECT generate_series(1, 1000);"
REASON = "disk errors on the primary"


@pytest.fixture
def source(server15: LocalServer, database: NewDatabase) -> Address:
    return database(server15, SOURCE)


MakeInstallation = Callable[..., Installation]


@pytest.fixture
def make(tmp_path: Path, source: Address) -> Iterator[MakeInstallation]:
    """Return a function that opens an installation with two storages; keywords are of the database's settings."""
    opened: list[Installation] = []

    def new(url: str = "", **database: object) -> Installation:
        home = tmp_path / f"home{len(opened)}"
        opened.append(in_two_storages(home, url or source.url().get_secret_value(), **database))
        return opened[-1]

    yield new
    for one in opened:
        one.close()


def in_two_storages(home: Path, url: str, **database: object) -> Installation:
    """Return an installation with two storages, in a home that is made."""
    home.mkdir()
    storages = tuple(StorageSettings(name=name, url=f"file://{home / name}") for name in ("primary", "second"))
    its = {"storages": ("primary", "second")} | database
    return make_installation(home, url=url, storages=storages, database=its)


@pytest.fixture
def installation(make: MakeInstallation) -> Installation:
    return make()


def emergency(installation: Installation, **wish: object) -> Run:
    """Carry an emergency backup out in this process; return its run as it ended."""
    request = EmergencyRequest(**({"database": "la_factoria", "reason": REASON} | wish))  # type: ignore[arg-type]
    run_id = commands.submit_emergency(installation, request, actor="ada", queue=False)
    return execute_run(installation, run_id, worker=process_identity())


def can_write(address: Address) -> bool:
    """Say whether a session that begins now may write."""
    with connect(address, application_name="psql") as connection:
        try:
            connection.execute("CREATE TABLE written (); DROP TABLE written")
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
    return True


def setting(address: Address) -> list[str]:
    """Return what is set for the database."""
    query = (
        "SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " WHERE d.datname = current_database() AND setrole = 0"
    )
    with connect(address) as connection:
        return [row[0] for row in connection.execute(query)]


def told(folder: Path, on: str = "echo on >> {file}", off: str = "echo off >> {file}") -> dict[str, object]:
    """Return settings whose commands write down that they ran: in the file ``told``, a line each."""
    file = folder / "told"
    return {
        "read_only_on_command": ("sh", "-c", on.format(file=file)),
        "read_only_off_command": ("sh", "-c", off.format(file=file)),
    }


@contextmanager
def working(installation: Installation) -> Iterator[ActiveRun]:
    """A run that is being worked on by this process, for code that wants one."""
    runs, now = installation.catalog.runs, installation.clock()
    run = runs.add(kind="backup", database="la_factoria", actor="ada", reason=REASON, params={}, now=now)
    with ActiveRun(installation, runs.claim(run.id, worker=process_identity(), now=now), actor="ada") as active:
        yield active


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(0.1)
