"""CSV that no spreadsheet takes for commands."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.frames import csv_file
from services.csv_export import csv_text, safe_cell


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\x00=1", "\x1b[31m"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert str(safe_cell(text)).startswith("'")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("plain", "plain"), ("a=b", "a=b"), ("über, \"x\"", "über, \"x\""), ("", ""), (None, ""), (float("nan"), ""),
        (pd.NaT, ""), (-5, -5), (-2.5, -2.5), (True, "yes"), (False, "no"), ("two\nlines", "two\\nlines"),
        (datetime(2026, 11, 22, 2, 0, tzinfo=UTC), "2026-11-22T02:00:00.000Z"),
        (pd.Timestamp("2026-11-22T02:00:00Z"), "2026-11-22T02:00:00.000Z"),
    ],
)  # fmt: skip
def test_everything_else_stays_what_it_is(value: object, cell: object) -> None:
    assert safe_cell(value) == cell


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=20))
def test_no_cell_of_a_file_begins_like_a_formula_and_every_row_stays_a_row(table: list[list[str]]) -> None:
    text = "".join(csv_text(["a", "=b"], table))
    found = list(csv.reader(io.StringIO(text)))
    assert found[0] == ["a", "'=b"]
    assert len(found) == len(table) + 1
    assert text.count("\n") == len(table) + 1
    for row in found:
        for cell in row:
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_table_comes_in_pieces() -> None:
    pieces = list(csv_text(["n"], ([n] for n in range(1000))))
    assert len(pieces) > 2
    assert "".join(pieces) == "n\n" + "".join(f"{n}\n" for n in range(1000))


def test_a_frame_is_written_with_its_columns() -> None:
    frame = pd.DataFrame({"database": ["=x"], "at": pd.to_datetime(["2026-11-22"], utc=True), "seconds": [1.5]})
    assert csv_file(frame) == "database,at,seconds\n'=x,2026-11-22T00:00:00.000Z,1.5\n"
