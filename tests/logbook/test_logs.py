"""The log of backups and of restore tests, in each of its forms, however long it is."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

import pytest

from services.backups.log_entry import render_log_entry
from services.catalog.model import Backup
from services.catalog.schema import backups
from services.installation import Installation
from services.logbook.backups import BACKUP_COLUMNS, backup_log
from services.logbook.checks import CHECK_COLUMNS, check_log, iterate_checks
from tests.pages.test_queries import count_queries
from tests.pages.worlds import NOW, add_backup, add_verification, installation

FORMULA = '=HYPERLINK("https://evil.example","open")'


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_template_is_the_runbooks_entry_for_each_with_a_blank_line_between(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    made = [add_backup(inst, "orders", NOW - timedelta(days=days), note=f"n{days}") for days in (2, 1)]
    text = "".join(backup_log(made, "template"))
    assert text == f"{render_log_entry(made[0])}\n\n{render_log_entry(made[1])}\n"
    assert "".join(backup_log([], "template")) == ""


def test_the_csv_has_the_templates_facts_and_numbers_beside_them(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    backup = add_backup(inst, "orders", NOW, note=FORMULA)
    (row,) = rows("".join(backup_log([backup], "csv")))
    assert tuple(row) == BACKUP_COLUMNS
    assert row["Notes"] == f"'{FORMULA}"
    assert (row["Database"], row["Backup"], row["Type"]) == ("orders", backup.name, "On-Demand")
    assert (row["Size"], row["Bytes"], row["Duration"], row["Seconds"]) == ("8.40 MB", "8400000", "14 s", "14.0")
    assert "".join(backup_log([], "csv")) == ",".join(BACKUP_COLUMNS) + "\n"


def test_the_json_is_one_list_with_the_entry_in_each(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    first = add_backup(inst, "orders", NOW - timedelta(days=1), note="über\x1b[31m")
    gone = add_backup(inst, "orders", NOW, state="expired", copies=())
    text = "".join(backup_log([first, gone], "json"))
    assert text.isascii()
    found = json.loads(text)
    assert [record["name"] for record in found] == [first.name, gone.name]
    assert found[0]["note"] == "über\x1b[31m"
    assert found[0]["finished_at"] == "2026-11-21T12:00:00.000Z"
    assert (found[1]["state"], found[1]["locations"]) == ("expired", [])
    assert found[1]["entry"]["Location"] == "none: no copy is left"
    assert json.loads("".join(backup_log([], "json"))) == []


def test_a_log_is_written_as_it_is_read(tmp_path: Path) -> None:
    """An endless row of backups has a beginning: nothing waits for the end."""
    backup = add_backup(installation(tmp_path, "orders"), "orders", NOW)

    def endless() -> Iterator[Backup]:
        while True:
            yield backup

    for form in ("template", "csv", "json"):
        assert "".join(islice(backup_log(endless(), form), 3)).count(backup.name) >= 3


def test_backups_are_read_in_chunks_in_order_each_once(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders", "users")
    at = NOW - timedelta(days=3)
    made = [add_backup(inst, "orders", at, id=f"id-{n:03d}", name=f"b{n:03d}") for n in range(7)]  # at one instant
    made += [add_backup(inst, "users", NOW - timedelta(days=2)), add_backup(inst, "orders", NOW)]
    store = inst.catalog.backups
    for chunk in (1, 2, 3, 7, 9, 100):
        assert [backup.id for backup in store.iterate(chunk=chunk)] == [backup.id for backup in made]
    assert list(store.iterate(chunk=4)) == store.list()[::-1]
    only = store.iterate(backups.c.database == "users")
    assert [backup.database for backup in only] == ["users"]
    assert count_queries(inst, lambda: next(store.iterate(chunk=3))) == 2, "one chunk and its copies, not the whole"


@pytest.fixture
def checked(tmp_path: Path) -> Installation:
    inst = installation(tmp_path, "orders", "users")
    for n, (name, outcome) in enumerate((("orders", "passed"), ("users", "failed"), ("orders", "not testable"))):
        backup = add_backup(inst, name, NOW - timedelta(days=9 - n))
        add_verification(inst, backup, NOW - timedelta(days=8 - n), outcome=outcome)
        add_verification(inst, backup, NOW - timedelta(days=8 - n, hours=1), level="checksum")
    return inst


def test_the_log_of_restore_tests_has_the_runbooks_line_and_what_it_lacks(checked: Installation) -> None:
    lines = "".join(check_log(iterate_checks(checked.catalog.engine, restore_tests_only=True), "template")).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith(
        "Restore test completed: 2026-11-14 12:00:00 UTC - orders, orders_backup_20261113_120000"
    )
    assert ": passed, restored in 9.5 s: 12 tables" in lines[0]
    assert ": failed, restored in 9.5 s: 2 differences" in lines[1]
    assert "extension postgis is not installed there" in lines[2]


def test_the_log_of_restore_tests_as_csv_and_json_has_the_measured_time(checked: Installation) -> None:
    def log(form: str) -> str:
        checks = iterate_checks(checked.catalog.engine, restore_tests_only=True)
        return "".join(check_log(checks, form))  # type: ignore[arg-type]

    found = rows(log("csv"))
    assert tuple(found[0]) == CHECK_COLUMNS
    assert [(row["Outcome"], row["Measured RTO (s)"]) for row in found][:2] == [("passed", "9.5"), ("failed", "9.5")]
    records = json.loads(log("json"))
    assert [record["outcome"] for record in records] == ["passed", "failed", "not testable"]
    assert records[0]["rto_seconds"] == 9.5
    assert records[0]["server"] == "embedded"
    assert "detail" not in records[0], "table by table is not for a log"


def test_checks_can_be_narrowed_down_and_come_in_order(checked: Installation) -> None:
    engine = checked.catalog.engine
    every = list(iterate_checks(engine, restore_tests_only=False))
    assert len(every) == 6
    assert [check.finished_at for check in every] == sorted(check.finished_at for check in every)
    since = NOW - timedelta(days=7)
    assert [c.database for c in iterate_checks(engine, restore_tests_only=True, since=since)] == ["users", "orders"]
    assert [c.database for c in iterate_checks(engine, restore_tests_only=True, until=since)] == ["orders"]
    assert len(list(iterate_checks(engine, restore_tests_only=False, database="users"))) == 2
