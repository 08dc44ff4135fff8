"""An installation whose use cases are stand-ins, so that only the way around them is tested."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.installation import Installation
from services.jobs import use_cases
from tests.jobs.use_cases import Backup
from tests.support.installations import make_installation


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = make_installation(tmp_path)
    yield made
    made.close()


@pytest.fixture
def backup(monkeypatch: pytest.MonkeyPatch) -> Backup:
    """Return the stand-in that works on every backup run."""
    stand_in = Backup()
    monkeypatch.setitem(use_cases.USE_CASES, "backup", stand_in)
    return stand_in
