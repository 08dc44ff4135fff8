"""A page asks the catalogue as often for many backups as for few."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from services.catalog import inventory, summaries
from services.installation import Installation
from services.overview import load_overview
from tests.pages.worlds import NOW, add_backup, add_run, add_verification, healthy, installation


def count_queries(inst: Installation, work: Callable[[], object]) -> int:
    counted: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        counted.append(statement)

    sa.event.listen(inst.catalog.engine, "before_cursor_execute", listen)
    try:
        work()
    finally:
        sa.event.remove(inst.catalog.engine, "before_cursor_execute", listen)
    return len(counted)


def test_the_queries_of_a_page_do_not_grow_with_the_backups(tmp_path: Path) -> None:
    for folder in ("few", "many"):
        (tmp_path / folder).mkdir()
    few, many = healthy(tmp_path / "few", days=3), healthy(tmp_path / "many", days=25)
    reads: list[Callable[[Installation], object]] = [
        load_overview,
        lambda inst: inventory.search(inst.catalog.engine, inventory.InventoryQuery()),
        lambda inst: summaries.recent_checks(inst.catalog.engine, limit=100),
    ]
    for read in reads:
        counts = [count_queries(inst, partial(read, inst)) for inst in (few, many)]
        assert counts[0] == counts[1] <= 10


def test_the_aggregates_say_what_the_rows_say(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    old = add_backup(inst, "orders", NOW - timedelta(days=4))
    add_backup(inst, "orders", NOW - timedelta(days=3), excluded=("public.x",))
    damaged = add_backup(inst, "orders", NOW - timedelta(days=2))
    inst.catalog.backups.set_copy_state(damaged.id, "local", "missing", checked_at=NOW)
    add_backup(inst, "orders", NOW - timedelta(days=1), state="expired", expired_at=NOW)
    add_run(inst, "orders", NOW - timedelta(days=2, hours=1), state="failed", error="x")
    add_verification(inst, old, NOW - timedelta(days=1))
    add_verification(inst, old, NOW - timedelta(hours=1), outcome="not testable")
    engine = inst.catalog.engine

    holding = summaries.holdings(engine)["orders"]
    assert (holding.backups_ever, holding.good_backups, holding.oldest_good_at) == (4, 1, old.snapshot_at)
    assert summaries.last_good_backups(engine)["orders"].id == old.id
    both = [summaries.last_restore_tests(engine, passed_only=only)["orders"] for only in (True, False)]
    assert [(test.outcome, test.seconds) for test in both] == [("passed", 9.5)] * 2
    use = summaries.storage_use(engine)["local"]
    assert (use.backups, use.bytes) == (3, 3 * 8_400_000)
    days = {str(day.day): day for day in summaries.days(engine, since=NOW - timedelta(days=10))}
    assert days["2026-11-18"].state == "good"
    assert days["2026-11-19"].state == "partial"
    assert (days["2026-11-20"].good, days["2026-11-20"].failed) == (1, 1)
    assert days["2026-11-21"].state == "good", "an expired backup stays in the history of its day"
    assert days["2026-11-21"].tests_passed == 1


def test_the_search_treats_wildcards_as_letters(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - timedelta(days=1), note="100% sure")
    add_backup(inst, "orders", NOW - timedelta(days=2), note="unsure")
    found, total = inventory.search(inst.catalog.engine, inventory.InventoryQuery(text="0% S"))
    assert ([row.note for row in found], total) == (["100% sure"], 1)
    limited, total = inventory.search(inst.catalog.engine, inventory.InventoryQuery(limit=1))
    assert (len(limited), total) == (1, 2)
