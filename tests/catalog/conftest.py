"""The same tests on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.catalog.catalog import Catalog
from services.catalog.model import RunKind
from services.postgres.server import LocalServer
from tests.support.catalogs import make_catalog
from tests.support.servers import NewDatabase


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty catalogue, on SQLite and on PostgreSQL 18."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    server: LocalServer = request.getfixturevalue("server18")
    database: NewDatabase = request.getfixturevalue("database")
    return database(server).url().get_secret_value()


@pytest.fixture
def catalog(catalog_url: str) -> Iterator[Catalog]:
    opened = make_catalog(catalog_url)
    yield opened
    opened.close()


@pytest.fixture
def add_run(catalog: Catalog) -> Callable[..., str]:
    from tests.catalog.rows import NOW

    def add(kind: RunKind = "backup", database: str = "la_factoria", **more: Any) -> str:
        values: dict[str, Any] = {"actor": "ada", "reason": "", "params": {}, "now": NOW}
        return catalog.runs.add(kind=kind, database=database, **(values | more)).id

    return add
