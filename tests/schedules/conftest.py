"""An installation whose clock is set by the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.installation import Installation
from services.postgres.server import LocalServer
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class SetClock:
    """Tells the time that a test sets."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def set(self, text: str) -> datetime:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC)
        return self.now


NewInstallation = Callable[..., Installation]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def new_installation(tmp_path: Path, clock: SetClock) -> Iterator[NewInstallation]:
    """Return ``(**fields of the database) -> Installation``, all on one catalogue; it is backed up daily at 02:00."""
    made: list[Installation] = []

    def new(*, settings: dict[str, object] | None = None, **database: object) -> Installation:
        values = {"schedule": "0 2 * * *", **database}
        made.append(make_installation(tmp_path, clock=clock, database=values, **(settings or {})))
        return made[-1]

    yield new
    for one in made:
        one.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> SecretStr:
    """Return the URL of an empty catalogue, on SQLite and on PostgreSQL 18."""
    if request.param == "sqlite":
        return SecretStr(f"sqlite:///{tmp_path / 'catalog.db'}")
    server: LocalServer = request.getfixturevalue("server18")
    database: NewDatabase = request.getfixturevalue("database")
    return SecretStr(database(server).url().get_secret_value())
