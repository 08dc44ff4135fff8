"""Servers and databases that tests of every room use."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from services.postgres.connection import Address
from services.postgres.server import LocalServer
from tests.support.place import make_place
from tests.support.servers import NewDatabase, drop_database, make_database, make_server

# Looking for garbage among what imports and collection made, which stays until the end, is a tenth of the suite's work.
gc.disable()

# How long an example takes depends on what else the machine does, and is measured by the benchmarks.
hypothesis.settings.register_profile("busy", suppress_health_check=[hypothesis.HealthCheck.too_slow], deadline=None)
hypothesis.settings.load_profile("busy")


@pytest.hookimpl(tryfirst=True)  # before pytest chooses a place of its own for tmp_path
def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # its files lie in the place of the process that has started it
    place, held = make_place()

    def remove() -> None:
        held.close()
        shutil.rmtree(place, ignore_errors=True)

    config.add_cleanup(remove)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    if config.getvalue("dist") != "loadfile":
        return None
    from tests.support.order import LongestFirst

    return LongestFirst(config, log)


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.fixture(scope="session")
def server() -> Iterator[Callable[[int], LocalServer]]:
    """Return the running server of a major version; each is made once a session, when first asked for."""
    made: dict[int, LocalServer] = {}
    folder = Path(tempfile.mkdtemp(prefix="servers-"))
    folder.chmod(0o711)  # for root the servers run as another user

    def get(version: int) -> LocalServer:
        if version not in made:
            made[version] = make_server(version, folder / f"pg{version}")
        return made[version]

    yield get
    for one in made.values():
        one.destroy()


@pytest.fixture(scope="session")
def server15(server: Callable[[int], LocalServer]) -> LocalServer:
    return server(15)


@pytest.fixture(scope="session")
def server18(server: Callable[[int], LocalServer]) -> LocalServer:
    return server(18)


@pytest.fixture
def database() -> Iterator[NewDatabase]:
    """Return a function ``(server, script="", *, name=None) -> Address``; its databases are dropped after the test."""
    made: list[Address] = []

    def new(server: LocalServer, script: str = "", *, name: str | None = None) -> Address:
        address = make_database(server, script, name=name)
        made.append(address)
        return address

    yield new
    for address in made:
        drop_database(address)
