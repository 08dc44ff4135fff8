"""Hostile text on its way out: exports, pages, the command line, the log. It arrives as text and does nothing."""

from __future__ import annotations

import csv
import io
import json
import logging
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dashboard.format import advice, escape
from services.cli import output
from services.csv_export import csv_text
from services.log_output import JsonLines, TextLines
from services.printable import printable, visible
from tests.hostile.payloads import HOSTILE, KNOWN

ONE_LINE = st.one_of(HOSTILE, st.lists(HOSTILE, max_size=3).map("".join)).filter(lambda text: len(text) < 12_000)


def commands_nothing(text: str) -> bool:
    """Say whether a terminal takes every character for one to be shown; lines may end."""
    return all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for c in text if c != "\n")


@given(st.lists(ONE_LINE, min_size=1, max_size=4))
def test_an_export_has_a_cell_a_text_and_no_formula(cells: list[str]) -> None:
    text = "".join(csv_text(["column"] * len(cells), [cells]))
    assert commands_nothing(text)
    _, row = csv.reader(io.StringIO(text))
    assert len(row) == len(cells)
    for cell, given_text in zip(row, cells, strict=True):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")), cell
        assert cell.removeprefix("'") in (printable(given_text), printable(given_text).removeprefix("'"))


@given(ONE_LINE)
def test_a_page_shows_it_as_one_line_of_plain_text(text: str) -> None:
    for shown in (escape(text), advice(text)):
        assert "\n" not in shown
        tokens = (
            MarkdownIt("commonmark", {"html": True, "linkify": False})
            .enable(["table", "strikethrough"])
            .parse(f"before {shown} after")
        )
        assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"], shown
        inner = {child.type for child in tokens[1].children or []}
        assert inner <= ({"text", "text_special"} | ({"code_inline"} if shown == advice(text) else set())), inner
    told = "".join(child.content for child in MarkdownIt().parse(f"x{escape(text)}x")[1].children or [])
    assert told.replace("\u2060", "") == f"x{visible(text)}x".replace("\u2060", "")


WRITERS: dict[str, Callable[[str], None]] = {
    "say": output.say,
    "note": output.note,
    "write_pairs": lambda text: output.write_pairs([("name", text)]),
    "table": lambda text: output.stdout().print(output.table(["column"], [[text]])),
    "write_json": lambda text: output.write_json({text: text}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_command_line_commands_no_terminal(writer: str, capsys: pytest.CaptureFixture[str]) -> None:
    for text in (text for text in KNOWN if len(text) < 3000):
        WRITERS[writer](text)
        said = capsys.readouterr()
        assert commands_nothing(said.out + said.err), text
        if writer == "write_json":
            assert json.loads(said.out) == {text: text}
        elif text.strip() and writer in ("say", "note"):
            assert (said.out + said.err).removesuffix("\n") == printable(text)


@given(ONE_LINE)
def test_a_line_of_the_log_stays_one_line(text: str) -> None:
    record = logging.LogRecord("services", logging.INFO, __file__, 1, "backup %s is done", (text,), None)
    line = TextLines("%(levelname)s %(message)s").format(record)
    assert line.count("\n") == 0
    assert commands_nothing(line)
    encoded = JsonLines().format(record)
    assert encoded.isascii()
    assert json.loads(encoded)["message"] == f"backup {text} is done"
