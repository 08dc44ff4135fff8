"""A catalogue with a past, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from bench.pages.catalogue import Plan, fill_catalogue
from services.catalog.catalog import Catalog
from services.trends.query import TrendsQuery, choose_days
from tests.catalog.conftest import add_run, catalog, catalog_url
from tests.support.catalogs import make_catalog
from tests.support.servers import make_database

__all__ = ["add_run", "catalog", "catalog_url"]

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
PLAN = Plan(NOW, databases=3, days=150, backups=900, tables=2)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Return a catalogue with 150 days of three databases, which is read only."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('filled') / 'catalog.db'}"
    else:
        url = make_database(request.getfixturevalue("server18")).url().get_secret_value()
    catalog = make_catalog(url)
    fill_catalogue(catalog, PLAN)
    yield catalog
    catalog.close()


def look(span: str | None = "90 days", *, databases: tuple[str, ...] = PLAN.names, **more: object) -> TrendsQuery:
    """Return a query on that catalogue; ``first`` and ``last`` replace the span."""
    days = {name: more.pop(name) for name in ("first", "last") if name in more}
    first, last = choose_days(NOW, span=None if days else span, **days)  # type: ignore[arg-type]
    return TrendsQuery(first, last, databases, **more)  # type: ignore[arg-type]
