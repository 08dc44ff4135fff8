"""Worlds of the tests of large databases: backed up by the real use case, in parallel or as one stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.backups.create import create_backup
from services.backups.request import BackupRequest
from services.catalog.model import Backup
from services.postgres.server import LocalServer
from tests.restores.lab import Lab, make_lab, on_server
from tests.support.servers import NewDatabase

SHOP = (Path(__file__).parents[1] / "support" / "rich_schema.sql").read_text()
NewLab = Callable[..., Lab]


@pytest.fixture
def new_lab(server15: LocalServer, server18: LocalServer, database: NewDatabase, tmp_path: Path) -> NewLab:
    """Return a function ``(script, **settings) -> Lab``: source on 15, restore tests on 18."""

    def new(script: str = SHOP, **settings: object) -> Lab:
        return make_lab(tmp_path, database(server15, script), **(on_server(server18.address) | settings))

    return new


def back_up(lab: Lab, **wishes: Any) -> Backup:
    """Back the lab's database up, with two jobs unless ``jobs`` says otherwise."""
    with lab.run("backup") as run:
        return create_backup(lab.installation, BackupRequest("la_factoria", **({"jobs": 2} | wishes)), run)
