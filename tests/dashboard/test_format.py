"""What people read: ages, shares, sizes; and that foreign text is shown, never obeyed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.format import (
    NOTHING,
    advice,
    ago,
    day,
    duration,
    escape,
    instant,
    left,
    number,
    percent,
    rate,
    short,
    size,
    to_confirm,
)
from services.printable import visible

NOW = datetime(2026, 11, 22, 2, 0, 5, tzinfo=UTC)


def shown(markdown: str) -> str:
    """Return what CommonMark shows of text in which every punctuation mark is escaped."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown).replace("\u2060", "")


@pytest.mark.parametrize(
    "text",
    ["**bold**", "<script>alert(1)</script>", "[x](https://evil.example)", ":red[x]", ":material/home:", "$x$", "`x`",
     "# head", "a_b_c", "![x](http://127.0.0.1/x.png)", "&amp;", "| a |", "\\", ":streamlit:", "a -> b", "x@y.example"],
)  # fmt: skip
def test_no_punctuation_mark_of_foreign_text_stays_markup(text: str) -> None:
    escaped = escape(text)
    assert shown(escaped) == text
    assert not re.search(r"(?<!\\)(?:\\\\)*[*_`\[\]<>$#|!:&]", escaped)


def test_what_turns_the_direction_of_writing_or_has_no_width_is_seen() -> None:
    assert shown(escape("invoice\u202egpj.exe")) == r"invoice\u202egpj.exe"
    assert shown(escape("a\u200bb\ufeffc\x1b[2J")) == r"a\u200bb\ufeffc\x1b[2J"
    assert shown(advice("a\u2067b")) == r"a\u2067b"
    for needed in ("می\u200cخواهم", "👩\u200d🔧"):
        assert shown(escape(needed)) == needed


@pytest.mark.parametrize(
    "text", ["https://evil.example", "www.evil.example", "x@evil.example", "a --> b", ":streamlit:"]
)
def test_what_streamlit_finds_even_when_escaped_is_broken_by_an_invisible_joiner(text: str) -> None:
    assert "\u2060" in escape(text)


@given(st.text())
def test_foreign_text_is_one_line_and_reads_the_same(text: str) -> None:
    escaped = escape(text)
    assert "\n" not in escaped
    assert shown(escaped) == visible(text)


def test_times_are_relative_and_exact() -> None:
    assert ago(NOW - timedelta(hours=26), NOW) == "26 h ago"
    assert ago(NOW + timedelta(minutes=3), NOW) == "in 3 min"
    assert ago(None, NOW) == NOTHING
    assert instant(NOW) == "2026-11-22 02:00:05 UTC"
    assert day(NOW) == "22 Nov 02:00 UTC"
    assert day(datetime(2026, 11, 2, 23, 5, tzinfo=UTC)) == "2 Nov 23:05 UTC"


def test_a_threshold_says_what_is_left_or_by_how_much_it_is_exceeded() -> None:
    assert left(timedelta(hours=3), timedelta(hours=24)) == "21 h left"
    assert left(timedelta(hours=26), timedelta(hours=24)) == "2 h over"


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 10, "0 %"), (1, 1000, "under 1 %"), (999, 1000, "over 99 %"), (1000, 1000, "100 %"), (1, 0, NOTHING)],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(part: float, whole: float, words: str) -> None:
    assert percent(part, whole) == words


def test_numbers_carry_units_and_nothing_is_no_zero() -> None:
    assert size(1_250_000_000) == "1.25 GB"
    assert size(None) == NOTHING
    assert duration(0.01) == "under 0.1 s"
    assert duration(0.06) == "0.1 s"
    assert duration(None) == NOTHING
    assert number(1234567) == "1,234,567"
    assert rate(84_000_000, 2.0) == "42.0 MB/s"
    assert rate(0, 2.0) == NOTHING
    assert short("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("See them: `backups slo`, or the page.", "See them\\: `backups slo`\\, or the page\\."),
        ("`backups log`", "`backups log`"),
        (
            "Run `backups verify --storage NAME` or `backups thaw`",
            "Run `backups verify --storage NAME` or `backups thaw`",
        ),
        ("a `] :red[b` c", "a \\`\\] \\:red\\[b\\` c"),
        ("`<b>` and one ` alone", "\\`\\<b\\>\\` and one \\` alone"),
        ("", ""),
    ],
)
def test_a_command_in_advice_is_code_and_nothing_else_is_markup(text: str, markdown: str) -> None:
    assert advice(text) == markdown


@given(st.text())
def test_advice_shows_the_same_text_as_it_was_given(text: str) -> None:
    assert " ".join(shown(advice(text)).split()) == visible(text)


def test_a_field_for_a_name_is_read_aloud_as_the_name_is_written() -> None:
    assert to_confirm("la_factoria") == "Type la_factoria to confirm"
    for hostile in ("_x_", "a*b*", "www.example.com", "[x](y)"):
        assert to_confirm(hostile) == f"Type {escape(hostile)} to confirm"
