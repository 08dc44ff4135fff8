"""Which way of dumping is proposed: by earlier backups of each, else by the database's size, and never silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.installation import Installation
from services.preflight.method import PARALLEL_FROM, MethodChoice, choose_method
from tests.catalog.rows import NOW, make_backup
from tests.support.installations import make_installation

GB = 10**9


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = make_installation(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


def add(installation: Installation, name: str, format: str, seconds: float, *, size: int = GB) -> None:
    backup = make_backup(name, database_bytes=size)
    began = backup.finished_at - timedelta(seconds=seconds)
    installation.catalog.backups.add(replace(backup, format=format, started_at=began))


def choose(installation: Installation, size: int, excluded: tuple[str, ...] = ()) -> MethodChoice:
    return choose_method(installation, installation.settings.databases[0], size, excluded)


def test_without_history_the_size_decides_and_it_is_said_that_there_is_none(installation: Installation) -> None:
    small, large = choose(installation, PARALLEL_FROM - 1), choose(installation, PARALLEL_FROM)
    assert (small.proposed, small.jobs) == ("stream", 1)
    assert (large.proposed, large.jobs) == ("parallel", 4)
    for choice in (small, large):
        assert choice.describe().startswith("One stream: no history; parallel: no history. ")


def test_with_history_of_both_the_faster_one_is_proposed_whatever_the_size(installation: Installation) -> None:
    for number, seconds in enumerate((90, 100, 400)):
        add(installation, f"s{number}", "custom", seconds)
    add(installation, "p1", "directory", 60)
    choice = choose(installation, 2 * GB)
    assert (choice.stream.seconds, choice.stream.backups) == (200.0, 3)
    assert (choice.parallel.seconds, choice.parallel.backups) == (120.0, 1)
    assert choice.proposed == "parallel"
    assert "about 3 min 20 s (from 3 backups)" in choice.describe()
    add(installation, "p2", "directory", 600)
    add(installation, "p3", "directory", 600)
    assert choose(installation, 100 * GB).proposed == "stream"


def test_backups_with_other_exclusions_are_no_measure(installation: Installation) -> None:
    add(installation, "s1", "custom", 100)
    assert choose(installation, GB, ("audit_*",)).stream.seconds is None
