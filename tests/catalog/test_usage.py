"""What the storages hold, added up by the database."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from services.catalog.catalog import Catalog
from services.catalog.copies import missing_copies
from services.catalog.model import Backup, Copy
from services.catalog.usage import changes, held
from tests.catalog.rows import NOW, make_backup

DAY = timedelta(days=1)


def add(catalog: Catalog, name: str, days_ago: int, **more: object) -> Backup:
    """Add a backup with copies of 10 bytes in the named storages: ``primary`` stored unless said otherwise."""
    states: dict[str, str] = more.pop("states", {"primary": "stored"})  # type: ignore[assignment]
    changed: dict[str, object] = more.pop("copy", {})  # type: ignore[assignment]
    backup = make_backup(name, finished_at=NOW - days_ago * DAY, **more)
    copies = tuple(
        replace(backup.copies[0], storage=storage, state=state, **changed)  # type: ignore[arg-type]
        for storage, state in states.items()
    )
    backup = replace(backup, copies=copies)
    catalog.backups.add(backup)
    return backup


def test_what_takes_up_room_is_added_up_by_storage_database_type_and_class(catalog: Catalog) -> None:
    add(catalog, "a", 1, states={"primary": "stored", "second": "damaged"})
    add(catalog, "b", 2, states={"primary": "stored", "second": "failed"})
    add(catalog, "c", 3, type="scheduled", database="billing", copy={"storage_class": "GLACIER"})
    add(catalog, "d", 4, states={"primary": "missing"})
    add(catalog, "e", 5, states={"primary": "deleted"}, state="expired", expired_at=NOW)
    found = {(h.storage, h.database, h.type, h.storage_class): (h.copies, h.bytes) for h in held(catalog.engine)}
    assert found == {
        ("primary", "la_factoria", "on-demand", "STANDARD"): (2, 20),
        ("second", "la_factoria", "on-demand", "STANDARD"): (1, 10),
        ("primary", "billing", "scheduled", "GLACIER"): (1, 10),
    }


def test_changes_are_what_came_and_what_went_on_each_day(catalog: Catalog) -> None:
    add(catalog, "kept", 3)
    add(catalog, "expired", 9, states={"primary": "deleted"}, state="expired", expired_at=NOW - 2 * DAY)
    add(catalog, "lost", 4, states={"primary": "missing"}, copy={"checked_at": NOW - DAY})
    add(catalog, "never made", 1, states={"primary": "failed"})
    found = {c.day: (c.stored_bytes, c.removed_bytes, c.bytes) for c in changes(catalog.engine, since=NOW - 7 * DAY)}
    today = date(2026, 11, 22)
    assert found == {
        today - 4 * DAY: (10, 0, 10),
        today - 3 * DAY: (10, 0, 10),
        today - 2 * DAY: (0, 10, -10),
        today - DAY: (0, 10, -10),
    }


def test_wanting_copies_are_listed_and_counted_by_storage(catalog: Catalog) -> None:
    for n in range(5):
        add(catalog, f"b{n}", n)
    odd = add(catalog, "odd", 9, states={"primary": "stored", "elsewhere": "damaged"}, database="billing")
    wanted = {"la_factoria": ("primary", "second"), "gone": ("primary", "second")}
    found, counts = missing_copies(catalog.engine, wanted, now=NOW, limit=2)
    assert [(m.backup_name, m.storage, m.state, m.has_source) for m in found] == [
        ("b0", "second", None, True),
        ("b1", "second", None, True),
        ("odd", "elsewhere", "damaged", True),
    ]
    assert counts == {"second": 5, "elsewhere": 1}
    assert missing_copies(catalog.engine, {}, now=NOW, limit=9)[1] == {"elsewhere": 1}
    lone: Copy = replace(odd.copies[0], state="damaged")
    catalog.backups.add(replace(odd, copies=(lone,)))
    (bad,), _ = missing_copies(catalog.engine, {}, now=NOW, limit=9)
    assert (bad.storage, bad.has_source) == ("primary", False)
    assert missing_copies(catalog.engine, {}, now=NOW, due_only=True, limit=9) == ([], {}), "there is no source"
    frozen = replace(lone, storage="cold", state="stored", storage_class="GLACIER")
    catalog.backups.add(replace(odd, copies=(lone, frozen)))
    assert missing_copies(catalog.engine, {}, now=NOW, due_only=True, limit=9) == ([], {}), "nor is what is frozen"
    thawed = replace(frozen, thawed_at=NOW, thawed_until=NOW + DAY)
    catalog.backups.add(replace(odd, copies=(lone, thawed)))
    assert missing_copies(catalog.engine, {}, now=NOW, due_only=True, limit=9)[1] == {"primary": 1}
