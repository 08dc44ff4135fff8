"""Looking rows up costs the same, however long the log is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.audit.model import AuditRow
from services.audit.query import PAGE, AuditQuery, load_page
from services.catalog.schema import audit_log
from services.installation import Installation
from tests.audit.conftest import behind_the_back, fill

COUNTED = 300
"""Here only so many are counted."""


def lengthen(inst: Installation, row: AuditRow, until: int) -> None:
    """Add rows of five people, as nothing checks them here."""

    def work(connection: sa.Connection) -> None:
        last = connection.scalar(sa.select(sa.func.max(audit_log.c.number))) or 0
        numbers = range(last + 1, until + 1)
        connection.execute(
            audit_log.insert(), [vars(replace(row, number=n, actor=f"p{n % 5}", action=f"a{n % 7}")) for n in numbers]
        )

    behind_the_back(inst, work)


def steps(inst: Installation, wanted: AuditQuery) -> int:
    """Return how many instructions of SQLite's a page takes, in hundreds."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    def watch(connection: sa.Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(count, 100)

    sa.event.listen(inst.catalog.engine, "engine_connect", watch)
    try:
        load_page(inst, wanted)
    finally:
        sa.event.remove(inst.catalog.engine, "engine_connect", watch)
    return taken


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.audit.query.COUNTED", COUNTED)


def test_a_page_of_a_long_log_costs_what_one_of_a_short_log_does(lite: Installation) -> None:
    row = fill(lite, 1)[0]
    short, long = 7 * COUNTED, 50 * COUNTED
    wants = (AuditQuery(), AuditQuery(actor="p1"), AuditQuery(action="a3"), AuditQuery(outcome="done"))
    lengthen(lite, row, short)
    before = [steps(lite, wanted) for wanted in wants]
    lengthen(lite, row, long)
    after = [steps(lite, wanted) for wanted in wants]
    assert min(before) > 10
    assert all(late <= early * 1.1 for early, late in zip(before, after, strict=True)), (before, after)


def test_a_page_names_everybody_and_counts_what_fits_up_to_a_bound(inst: Installation) -> None:
    row = fill(inst, 1)[0]
    assert (load_page(inst, AuditQuery()).total, load_page(inst, AuditQuery(actor="eve")).total) == (1, 0)
    lengthen(inst, row, 4 * COUNTED)
    found = load_page(inst, AuditQuery())
    assert found.actors == ("ada", "p0", "p1", "p2", "p3", "p4")
    assert found.actions == ("a0", "a1", "a2", "a3", "a4", "a5", "a6", "backup.create")
    assert (found.total, found.is_more, len(found.rows), found.rows[0].number) == (COUNTED, True, PAGE, 4 * COUNTED)
    one = load_page(inst, AuditQuery(actor="p1"), page=3)
    assert (one.total, one.is_more, one.rows[0].number) == (239, False, 1196 - 5 * 200)
