"""Point in time on a server of every further version; 15 and 18 are in ``tests/pitr``."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.pitr.recovery_server import Recovered
from services.postgres.connection import connect
from tests.pitr.lab import PointLab


@pytest.mark.parametrize("version", [13, 14, 16, 17])
def test_a_dropped_table_is_back_as_it_was_a_moment_before(version: int, tmp_path: Path) -> None:
    lab = PointLab(version, tmp_path)
    try:
        with lab.markers() as written:
            lab.base()
            time.sleep(0.2)
            acknowledged, moment = written[-1], lab.now()
            time.sleep(0.05)
            lab.sql("DROP TABLE markers")
        lab.ship()
        seen: list[tuple[int, int, int]] = []

        def look(recovered: Recovered) -> None:
            with connect(recovered.address.with_database("postgres")) as connection:
                query = "SELECT count(*), max(id), count(*) FILTER (WHERE at > %s) FROM markers"
                row = connection.execute(query, (moment,)).fetchone()
                assert row is not None
                seen.append(row)

        report = lab.restore(moment.isoformat(), look)
        count, newest, later = seen[0]
        assert newest >= acknowledged
        assert (count, later) == (newest, 0)
        assert report.server_version.startswith(str(version))
    finally:
        lab.close()
