from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.retention.lab import Lab, lab_settings

on_both_engines = pytest.mark.parametrize("lab", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """An empty store, its catalogue on SQLite unless the test says otherwise."""
    changes: dict[str, Any] = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        server, database = request.getfixturevalue("server18"), request.getfixturevalue("database")
        changes["catalog_url"] = database(server).url()
    made = Lab(lab_settings(tmp_path, **changes))
    yield made
    made.inst.close()
