"""The small world, and its catalogue on both engines."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.installation import Installation
from services.postgres.server import LocalServer
from tests.review.world import Clock, empty, small_world
from tests.support.servers import NewDatabase


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def small_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small world's catalogue, made once."""
    folder = tmp_path_factory.mktemp("small-world")
    small_world(folder).close()
    return folder / "catalog.db"


@pytest.fixture
def world(tmp_path: Path, clock: Clock, small_catalog: Path) -> Iterator[Installation]:
    """The small world on SQLite."""
    shutil.copy(small_catalog, tmp_path)
    inst = empty(tmp_path, "la_factoria", "billing", clock=clock)
    yield inst
    inst.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty catalogue, on SQLite and on PostgreSQL 18."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    server: LocalServer = request.getfixturevalue("server18")
    database: NewDatabase = request.getfixturevalue("database")
    return database(server).url().get_secret_value()
