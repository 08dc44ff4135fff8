"""What a restore test says of the databases that it could not read, and of the tables that it did not."""

from __future__ import annotations

import json

import pytest

from services.errors import BackupsError
from services.pitr.point_report import DatabaseFound, PointReport
from services.pitr.point_runs import refuse_unreadable

READ = DatabaseFound("postgres", 1, 100, 3)
NO_LOCALE = "FATAL:  database locale is incompatible with operating system"


def report(*databases: DatabaseFound) -> PointReport:
    return PointReport(
        target="latest", base_id="b", base_name="base", into="", server_version="18.1", timeline=2,
        reached_lsn="0/1C00000", last_commit_at=None, stopping="", segments=1, wal_bytes=1, base_bytes=1, files=1,
        fetch_seconds=1.0, recovery_seconds=1.0, check_seconds=1.0, databases=databases, pg_verifybackup="",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name, problem, refused",
    [
        ("shop", NO_LOCALE, True),
        ("shop", "invalid page in block 3 of relation base/5/16384", True),
        ("other", "invalid page in block 3 of relation base/5/16384", True),
        ("other", NO_LOCALE, False),
    ],
)
def test_a_database_that_cannot_be_read_fails_the_test(name: str, problem: str, refused: bool) -> None:
    found = report(READ, DatabaseFound(name, 0, 100, None, problem))
    if not refused:
        refuse_unreadable(found, "shop")
        return
    with pytest.raises(BackupsError, match=f"the database {name} cannot be read: {problem}"):
        refuse_unreadable(found, "shop")


def test_without_a_single_database_that_can_be_read_nothing_was_shown() -> None:
    with pytest.raises(BackupsError, match="cannot be read"):
        refuse_unreadable(report(DatabaseFound("other", 0, 100, None, NO_LOCALE)), "shop")


def test_a_table_that_was_too_large_to_be_read_is_named() -> None:
    found = report(DatabaseFound("shop", 2, 2 << 30, 3, uncounted=("public.events",)))
    assert "3 rows counted. Too large to be read: shop: public.events." in found.summary
    assert PointReport.from_json(json.loads(json.dumps(found.to_json()))) == found
