"""Tables of the retention page, and their export."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from dashboard.retention_frames import (
    DELETION_COLUMNS,
    as_csv,
    badges,
    deletions_frame,
    until_words,
)
from services.catalog.deletions import Deletion
from services.retention.planner import Decision
from tests.retention.lab import NOW


def deletion(**changes: object) -> Deletion:
    values = {
        "id": "x", "run_id": None, "backup_id": "b", "backup_name": "b1", "database": "orders", "at": NOW,
        "ended_at": NOW, "actor": "ada", "storage": "r2", "key": "orders/b1.dump.zst.age", "bytes": 10,
        "reason": "outside every tier", "note": "", "outcome": "deleted", "error": "",
    }  # fmt: skip
    return Deletion(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        (None, ([], "–")),
        (Decision("x", False, going="expired"), ([], "–")),
        (Decision("x", False, expires_at=NOW, going="old failure"), (["goes"], "next cleanup")),
        (Decision("x", False, going="deletion begun"), (["goes"], "next cleanup")),
        (Decision("x", True, (), ("pinned",)), (["pinned"], "open")),
        (Decision("x", True, ("daily",), ("daily", "minimum"), NOW), (["daily", "minimum"], "2026-11-22 12:00")),
    ],
)
def test_badges_and_keep_until_of_every_kind(decision: Decision | None, expected: tuple[list[str], str]) -> None:
    assert (badges(decision), until_words(decision)) == expected


def test_the_log_has_a_row_for_each_attempt_in_words() -> None:
    frame = deletions_frame([deletion(), deletion(reason="by hand", outcome="failed", error="no\nway", note=" a\n b ")])
    assert tuple(frame.columns) == DELETION_COLUMNS
    assert list(frame["Outcome"]) == ["✓ deleted", "✕ failed"]
    assert list(frame["Why"]) == ["outside every tier", "by hand"]
    assert list(frame["Error"]) == ["", "no way"]
    assert frame["Note"][1] == "a b"
    assert deletions_frame([]).empty


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\x00=1"])
def test_no_cell_of_the_export_is_a_formula(start: str) -> None:
    text = as_csv(deletions_frame([deletion(note="fine", error="fine", actor=start, storage=start)]))
    [head, row] = list(csv.reader(io.StringIO(text)))
    assert tuple(head) == DELETION_COLUMNS
    for cell in (row[head.index("By")], row[head.index("Storage")]):
        assert cell.startswith("'")
        assert cell.isprintable()
    assert row[head.index("Size")] == "10"
    assert row[head.index("Deleted (UTC)")] == "2026-11-22T12:00:00"
    assert row[head.index("Note")] == "fine"


def test_the_export_is_whole_also_with_quotes_and_lines() -> None:
    text = as_csv(deletions_frame([deletion(key='a",b', at=NOW + timedelta(microseconds=5))]))
    assert list(csv.reader(io.StringIO(text)))[1][-1] == 'a",b'
