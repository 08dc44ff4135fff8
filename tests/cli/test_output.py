from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.output import WIDTH, note, printable, say, stdout, table, write_error, write_json
from services.errors import BackupsError, SettingsError

HOSTILE = "[bold red]x[/bold red] \x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\nsecond line\r:smile:"


@given(st.text())
def test_no_text_can_command_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202a\u202b\u202d\u202e\u2066\u2067" for c in shown)


def test_ordinary_text_is_shown_as_it_is() -> None:
    assert printable("la_factoria – größer × 2 → 日本") == "la_factoria – größer × 2 → 日本"


def test_hostile_text_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    say(HOSTILE)
    note(HOSTILE)
    stdout().print(table(["Name"], [[HOSTILE]]))
    write_error(BackupsError(HOSTILE, hint=HOSTILE))
    written = capsys.readouterr()
    for text in (written.out, written.err):
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\x9b" not in text
        assert "\u202e" not in text
        assert "[bold red]x[/bold red]" in text
        assert "\\x1b" in text
        assert ":smile:" in text
    assert len(written.err.splitlines()) == 2


def test_json_is_ascii_and_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"note": HOSTILE})
    written = capsys.readouterr().out
    assert written.isascii()
    assert "\x1b" not in written
    assert json.loads(written) == {"note": HOSTILE}


def test_a_table_of_long_names_keeps_to_the_width(capsys: pytest.CaptureFixture[str]) -> None:
    stdout().print(table(["Name", "Note"], [["n" * 300, "w " * 200]]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "".join(lines).count("n") >= 300


def test_every_fault_of_the_settings_gets_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    faults = ("a: is wrong", "b: is missing")
    write_error(SettingsError("The settings have 2 faults: " + " · ".join(faults), hint="Correct them.", faults=faults))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["Error: The settings have 2 faults. Correct them.", "  a: is wrong", "  b: is missing"]
