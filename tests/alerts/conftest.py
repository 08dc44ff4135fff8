"""Installations with alerts, on both engines of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.installation import Installation
from services.postgres.server import LocalServer
from services.settings.model import AlertSettings
from tests.support.installations import make_installation
from tests.support.servers import NewDatabase
from tests.support.sinks import MailServer, WebServer, mail_server, web_server
from tests.support.time import TestClock

SECRET = "Tok3n-planted-5512"


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    server: LocalServer = request.getfixturevalue("server18")
    database: NewDatabase = request.getfixturevalue("database")
    return database(server).url().get_secret_value()


@pytest.fixture
def inst(
    tmp_path: Path, catalog_url: str, clock: TestClock, mail: MailServer, web: WebServer
) -> Iterator[Installation]:
    """An installation whose alerts go to the mail server and to the HTTP server."""
    alerts = AlertSettings(
        email=("ops@example.com",),
        smtp_url=SecretStr(f"smtp://127.0.0.1:{mail.port}?tls=no"),
        urls=(SecretStr(f"json://127.0.0.1:{web.port}/hook/{SECRET}?rto=1"),),
    )
    made = make_installation(tmp_path / "home", clock=clock, catalog_url=SecretStr(catalog_url), alerts=alerts)
    yield made
    made.close()
