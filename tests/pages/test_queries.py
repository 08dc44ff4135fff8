"""A page asks the catalogue as often for many backups as for few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest

import dashboard.session
from bench.pages.catalogue import Plan, fill_catalogue
from bench.pages.measure import page_names
from dashboard.session import CheckedAt
from services.catalog import inventory, summaries
from services.installation import Installation
from services.overview import load_overview, load_statuses
from services.preflight import Preflight
from services.review.forms import review_form
from services.review.gather import choose_week, load_review
from tests.pages.conftest import OpenPage, everything
from tests.pages.worlds import NOW, add_backup, add_run, add_verification, installation


def queries(inst: Installation, work: Callable[[], object]) -> list[str]:
    """Return the statements that the catalogue is sent while something is done."""
    seen: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(inst.catalog.engine, "before_cursor_execute", listen)
    try:
        work()
    finally:
        sa.event.remove(inst.catalog.engine, "before_cursor_execute", listen)
    return seen


def count_queries(inst: Installation, work: Callable[[], object]) -> int:
    """Return how many statements the catalogue is sent while something is done."""
    return len(queries(inst, work))


def _open(open_page: OpenPage, inst: Installation, page: str, app: list[AppTest]) -> None:
    app.append(open_page(inst, page))


MOST_QUERIES = 36
"""Of one run of a page's script."""


@pytest.fixture(scope="module")
def few_and_many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Installation]]:
    """Installations with 600 and 2,000 backups, both more than any page lists. Opening a page changes neither."""
    made = []
    for backups in (600, 2000):
        plan = Plan(NOW, databases=2, days=backups // 4, backups=backups, tables=2)
        inst = installation(tmp_path_factory.mktemp(f"{backups}"), *plan.names)
        fill_catalogue(inst.catalog, plan)
        made.append(inst)
    yield made[0], made[1]
    for inst in made:
        inst.close()


@pytest.mark.parametrize("page", page_names())
def test_the_queries_of_a_page_do_not_grow_with_the_backups(
    open_page: OpenPage, few_and_many: tuple[Installation, Installation], monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    checked = CheckedAt(Preflight((), 61_000_000, 8_400_000, 43_000_000, 14.0), NOW)
    monkeypatch.setattr(dashboard.session, "fresh_checks", lambda _database: checked)
    counts = []
    for inst in few_and_many:
        app: list[AppTest] = []
        counts.append(count_queries(inst, partial(_open, open_page, inst, page, app)))
        assert not app[0].exception
    # The trends look at what is before an outlier, and at single backups where they are few: once each.
    assert counts[1] - counts[0] <= (2 if page == "trends" else 0)
    assert max(counts) <= MOST_QUERIES


@pytest.mark.parametrize("expired", [True, False], ids=["most expired", "nothing expired"])
def test_no_query_of_the_overview_reads_a_table_from_end_to_end(tmp_path: Path, expired: bool) -> None:
    """SQLite's plans: what is read whole is an index that covers the query, or a few rows that were found by one."""
    inst = installation(tmp_path, "la_factoria", "billing")
    fill_catalogue(inst.catalog, Plan(NOW, databases=2, days=60, backups=240, tables=2, expired=expired))
    asked: list[tuple[str, Any]] = []

    def listen(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(inst.catalog.engine, "before_cursor_execute", listen)
    load_overview(inst)
    inventory.search(inst.catalog.engine, inventory.InventoryQuery())
    summaries.recent_checks(inst.catalog.engine, limit=100)
    inst.catalog.runs.list(backup_id="any", limit=1)
    inst.catalog.verifications.list(run_id="any", limit=1)
    sa.event.remove(inst.catalog.engine, "before_cursor_execute", listen)
    tables = ("runs", "backups", "copies", "verifications", "run_log")
    with inst.catalog.engine.connect() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [str(step.detail) for step in plan]
            assert not [
                s for s in steps if s.split(" ")[:2] in [["SCAN", name] for name in tables] and "INDEX" not in s
            ], statement


@pytest.mark.parametrize("page", ["inventory", "verify_and_restore"])
def test_a_list_of_checks_is_read_without_their_tables(tmp_path: Path, open_page: OpenPage, page: str) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW - timedelta(hours=9))
    for hours in (8, 7):
        add_verification(inst, backup, NOW - timedelta(hours=hours))
    other = add_backup(inst, "orders", NOW - timedelta(hours=5))
    add_verification(inst, other, NOW - timedelta(hours=4), outcome="failed")
    shown: list[str] = []
    asked = queries(inst, lambda: shown.append(everything(open_page(inst, page, backup=backup.id))))
    assert [statement for statement in asked if "verifications.detail" in statement] == []
    assert any("FROM verifications" in statement for statement in asked)
    if page == "inventory":
        assert shown[0].count("**restore test**") == 2, "the drawer lists the checks of its backup, and no others"


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


@pytest.mark.parametrize(
    "why", [{"excluded": ("public.secrets",)}, {"trust": "untrusted"}, {"adopted": True}],
    ids=["partial", "untrusted", "adopted"],
)  # fmt: skip
def test_what_no_whole_trusted_backup_proved_protects_nothing(tmp_path: Path, why: dict[str, Any]) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - timedelta(hours=3))
    tested = add_backup(inst, "orders", NOW - timedelta(hours=2), **why)
    add_verification(inst, tested, NOW - timedelta(hours=1))
    [status] = load_statuses(inst)
    assert status.state == "AT RISK"
    assert not status.is_restorable
    assert [reason.text for reason in status.reasons if reason.severity == "warning"] == ["No restore test has passed."]


def test_a_proof_that_damage_undid_is_told_as_that_on_the_overview_and_in_the_review(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - timedelta(hours=9))
    proven = add_backup(inst, "orders", NOW - timedelta(hours=8))
    add_verification(inst, proven, NOW - timedelta(hours=7))
    add_verification(inst, proven, NOW - timedelta(hours=6), level="checksum", outcome="failed")
    said = f"No proof is left: {proven.name}, whose restore test passed, was found damaged since."
    [status] = load_statuses(inst)
    assert [reason.text for reason in status.reasons if reason.severity == "warning"] == [said]
    review = review_form(load_review(inst, choose_week(inst, None)))
    [reviewed] = review["databases"]
    assert said in reviewed["reasons"]


def test_a_test_of_a_partial_backup_does_not_hide_that_a_whole_one_failed(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    first = add_backup(inst, "orders", NOW - timedelta(hours=9))
    add_verification(inst, first, NOW - timedelta(hours=8))
    broken = add_backup(inst, "orders", NOW - timedelta(hours=7))
    add_verification(inst, broken, NOW - timedelta(hours=6), outcome="failed")
    partial_one = add_backup(inst, "orders", NOW - timedelta(hours=5), excluded=("public.secrets",))
    add_verification(inst, partial_one, NOW - timedelta(hours=4))
    [status] = load_statuses(inst)
    assert status.state == "UNPROTECTED"


@pytest.mark.parametrize("level", ["stored", "checksum", "archive", "restore"])
def test_a_proof_ends_when_its_backup_fails_a_verification(tmp_path: Path, level: str) -> None:
    inst = installation(tmp_path, "orders")
    proven = add_backup(inst, "orders", NOW - timedelta(hours=9))
    add_verification(inst, proven, NOW - timedelta(hours=8))
    add_backup(inst, "orders", NOW - timedelta(hours=1))
    assert load_statuses(inst)[0].state == "PROTECTED"
    add_verification(inst, proven, NOW - timedelta(minutes=30), level=level, outcome="failed")
    assert load_statuses(inst)[0].state == ("UNPROTECTED" if level == "restore" else "AT RISK")
    add_verification(inst, proven, NOW - timedelta(minutes=20), level=level)
    mended = load_statuses(inst)[0].state  # only a restore test proves anew
    assert mended == ("PROTECTED" if level == "restore" else "AT RISK")


def test_an_adopted_file_keeps_no_promise(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    ours = add_backup(inst, "orders", NOW - timedelta(hours=30))
    add_verification(inst, ours, NOW - timedelta(hours=29))
    add_backup(inst, "orders", NOW - timedelta(hours=1), adopted=True)
    [status] = load_statuses(inst)
    assert status.state == "AT RISK"
    assert status.reasons[0].text == "Last good backup 30 h ago · RPO 28 h · breached 2 h ago"
    [day] = summaries.days(inst.catalog.engine, since=NOW - timedelta(hours=2))
    assert day.state == "partial"


def test_a_backup_that_failed_its_verification_makes_a_failed_day_and_counts_once(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    damaged = add_backup(inst, "orders", NOW - timedelta(hours=2))
    add_verification(inst, damaged, NOW - timedelta(hours=2), level="checksum", outcome="failed")
    add_run(inst, "orders", NOW - timedelta(hours=3), state="failed", error="x", result={"backup_id": damaged.id})
    [day] = summaries.days(inst.catalog.engine, since=NOW - timedelta(days=1))
    assert (day.state, day.good, day.partial, day.failed) == ("failed", 0, 0, 1)


def test_a_proof_outlives_its_backup(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    proven = add_backup(inst, "orders", NOW - timedelta(days=9), state="expired", expired_at=NOW, copies=())
    add_verification(inst, proven, NOW - timedelta(days=8))
    add_backup(inst, "orders", NOW - timedelta(hours=1))
    assert load_statuses(inst)[0].state == "PROTECTED"


def test_a_living_worker_is_seen_beside_dead_ones_and_wrong_clocks(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    beat, engine = inst.catalog.workers.beat, inst.catalog.engine
    assert summaries.worker_signs(engine, NOW).heartbeat_at is None
    beat("dead:1", version="0.1.0", now=NOW - timedelta(days=3))
    assert summaries.worker_signs(engine, NOW).heartbeat_at == NOW - timedelta(days=3)
    beat("ahead:1", version="0.1.0", now=NOW + timedelta(hours=1))
    assert summaries.worker_signs(engine, NOW).heartbeat_at == NOW + timedelta(hours=1)
    assert inst.catalog.workers.alive(NOW) == []
    beat("here:1", version="0.1.0", now=NOW - timedelta(seconds=3))
    assert summaries.worker_signs(engine, NOW).heartbeat_at == NOW - timedelta(seconds=3)
    assert [worker.id for worker in inst.catalog.workers.alive(NOW)] == ["here:1"]


def test_the_search_treats_wildcards_as_letters(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    add_backup(inst, "orders", NOW - timedelta(days=1), note="100% sure")
    add_backup(inst, "orders", NOW - timedelta(days=2), note="unsure")
    found, total = inventory.search(inst.catalog.engine, inventory.InventoryQuery(text="0% S"))
    assert ([row.note for row in found], total) == (["100% sure"], 1)
    limited, total = inventory.search(inst.catalog.engine, inventory.InventoryQuery(limit=1))
    assert (len(limited), total) == (1, 2)
