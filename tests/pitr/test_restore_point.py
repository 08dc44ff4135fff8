"""Restores to a point in time on real servers: what is there afterwards, and what is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from services.pitr.recovery_server import Recovered
from services.postgres.connection import connect
from tests.pitr.lab import PointLab


@pytest.fixture(scope="module", params=[15, 18])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointLab]:
    """A server under whose load a base backup was taken, then a table dropped; all of it is archived."""
    lab = PointLab(request.param, tmp_path_factory.mktemp("point"))
    yield lab
    lab.close()


def test_every_marker_up_to_the_moment_before_the_drop_is_there_and_none_after(lab: PointLab) -> None:
    with lab.markers() as written:
        lab.base()
        time.sleep(0.5)
        acknowledged = written[-1]
        before = lab.now()
        time.sleep(0.1)
        lab.sql("DROP TABLE markers")
    lab.ship()
    seen: list[tuple[int, int, int]] = []

    def look(recovered: Recovered) -> None:
        with connect(recovered.address.with_database("postgres")) as connection:
            row = connection.execute(
                "SELECT count(*), max(id), count(*) FILTER (WHERE at > %s) FROM markers", (before,)
            ).fetchone()
            assert row is not None
            seen.append(row)

    report = lab.restore(before.isoformat(), look)
    count, newest, later = seen[0]
    assert newest >= acknowledged
    assert (count, later) == (newest, 0)
    assert report.timeline == 2
    assert "recovery stopping before commit" in report.stopping
    print(report.summary)
