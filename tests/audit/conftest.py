"""Audit logs on both engines, and a way around the triggers: what somebody with the database's password can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services.audit.model import AuditRow, Entry
from services.audit.record import record
from services.installation import Installation, open_configured
from services.postgres.server import LocalServer
from tests.support.catalogs import make_catalog
from tests.support.installations import make_settings, mount
from tests.support.servers import NewDatabase

NOW = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def inst(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """An installation with an empty log, on SQLite and on PostgreSQL 18."""
    changes = {}
    if request.param == "postgresql":
        server: LocalServer = request.getfixturevalue("server18")
        database: NewDatabase = request.getfixturevalue("database")
        changes["catalog_url"] = SecretStr(database(server).url().get_secret_value())
    settings = make_settings(tmp_path, **changes)
    mount(settings)
    make_catalog(settings.catalog_url.get_secret_value()).close()
    opened = open_configured(settings, clock=lambda: NOW)
    yield opened
    opened.close()


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Installation]:
    """An installation on SQLite, where the engine does not matter."""
    settings = make_settings(tmp_path)
    mount(settings)
    make_catalog(settings.catalog_url.get_secret_value()).close()
    opened = open_configured(settings, clock=lambda: NOW)
    yield opened
    opened.close()


def fill(inst: Installation, rows: int) -> list[AuditRow]:
    """Record so many rows."""
    return [
        record(inst, Entry("ada", "backup.create", "database", "la_factoria", f"reason {n}", detail={"n": n}))
        for n in range(1, rows + 1)
    ]


def behind_the_back(inst: Installation, work: Callable[[sa.Connection], None]) -> None:
    """Do something to the table without its triggers, then put them back."""
    with inst.catalog.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("ALTER TABLE audit_log DISABLE TRIGGER USER"))
            work(connection)
            connection.execute(sa.text("ALTER TABLE audit_log ENABLE TRIGGER USER"))
        else:
            made = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
            for name, _ in made:
                connection.execute(sa.text(f"DROP TRIGGER {name}"))
            work(connection)
            for _, sql in made:
                connection.exec_driver_sql(sql)
