"""The search over all backups: filters, counts and pages, on both engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.catalog.catalog import Catalog
from services.catalog.inventory import InventoryQuery, search
from tests.catalog.rows import NOW, make_backup


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    """Twelve backups, ``b0`` the newest; ``b10`` has expired, ``b11`` is half deleted, ``b5`` was refused."""
    for n in range(12):
        backup = make_backup(f"b{n}", finished_at=NOW - timedelta(days=n))
        if n == 5:
            refused = replace(backup.copies[0], deletion_error="AccessDenied", deletion_failed_at=NOW)
            backup = replace(backup, copies=(refused,))
        state = {10: "expired", 11: "deleting"}.get(n, "finished")
        catalog.backups.add(replace(backup, state=state, note="50% of it" if n == 7 else ""))  # type: ignore[arg-type]
    catalog.backups.add(make_backup("other", finished_at=NOW - timedelta(days=20), database="billing"))
    return catalog


def found(catalog: Catalog, **wanted: object) -> tuple[list[str], int]:
    rows, total = search(catalog.engine, InventoryQuery(**wanted))  # type: ignore[arg-type]
    return [row.name for row in rows], total


def test_pages_are_parts_of_one_order_and_the_count_is_of_all(filled: Catalog) -> None:
    pages = [found(filled, limit=5, offset=offset) for offset in (0, 5, 10, 15)]
    assert [total for _, total in pages] == [13] * 4
    assert [name for names, _ in pages for name in names] == [*(f"b{n}" for n in range(12)), "other"]


def test_ids_name_what_is_wanted_or_all_but_a_few(filled: Catalog) -> None:
    assert found(filled, ids=("id-b3", "id-b1", "id-nobody")) == (["b1", "b3"], 2)
    assert found(filled, ids=()) == ([], 0)
    live = [f"b{n}" for n in (*range(2, 10), 11)]
    assert found(filled, unexpired_but=("id-b0", "id-b1"), databases=("la_factoria",)) == (live, 9)
    assert found(filled, unexpired_but=(), databases=("billing",)) == (["other"], 1)
    many = tuple(f"id-b{n}" for n in range(40_000))  # more than an IN list may hold
    assert found(filled, ids=many, limit=3) == (["b0", "b1", "b2"], 12)


def test_what_could_not_be_deleted_is_found_and_said(filled: Catalog) -> None:
    rows, total = search(filled.engine, InventoryQuery(deletion_failed=True))
    assert ([(row.name, row.deletion_failed) for row in rows], total) == ([("b5", True)], 1)
    everything, _ = search(filled.engine, InventoryQuery())
    assert [row.name for row in everything if row.deletion_failed] == ["b5"]


def test_a_text_is_looked_for_as_it_is_and_counted(filled: Catalog) -> None:
    assert found(filled, text="50%") == (["b7"], 1)
    assert found(filled, text="B1") == (["b1", "b10", "b11"], 3)
    assert found(filled, text="B1", limit=1) == (["b1"], 3)
    assert found(filled, text="nothing like it") == ([], 0)
    assert found(filled, state="deleting") == (["b11"], 1)
