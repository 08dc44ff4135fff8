"""Labs for tests of restores and verifications."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from services.postgres.server import LocalServer
from tests.restores.lab import SCHEMA, Lab, make_lab, on_server
from tests.support.servers import NewDatabase

NewLab = Callable[..., Lab]


@pytest.fixture
def new_lab(server15: LocalServer, server18: LocalServer, database: NewDatabase, tmp_path: Path) -> NewLab:
    """Return a function ``(script=SCHEMA, **settings) -> Lab``: source on 15, restore tests on 18."""

    def new(script: str = SCHEMA, **settings: object) -> Lab:
        return make_lab(tmp_path, database(server15, script), **(on_server(server18.address) | settings))

    return new


@pytest.fixture
def lab(new_lab: NewLab) -> Lab:
    return new_lab()
