"""What the command line writes: tables and JSON on standard output, everything else on standard error.

Names and notes come from people and from other machines' files, so nothing of them may command the terminal: no rich
markup is read in any text, and control characters, terminal escapes and direction overrides are shown, not sent.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.errors import BackupsError, SettingsError
from services.printable import printable

__all__ = [
    "WIDTH", "instant", "note", "printable", "say", "stderr", "stdout", "table", "write_error", "write_json",
    "write_pairs",
]  # fmt: skip

WIDTH = 100
"""Columns of output that does not go to a terminal."""


def stdout() -> Console:
    """Return the console for results. Made anew each time: tests and pipes change ``sys.stdout``."""
    return _console(sys.stdout)


def stderr() -> Console:
    """Return the console for progress, notes and errors."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    return Console(file=stream, markup=False, emoji=False, highlight=False, width=None if stream.isatty() else WIDTH)


def say(text: str, *, style: str = "") -> None:
    """Write one line to standard output, however long it is."""
    stdout().print(Text(printable(text), style=style), soft_wrap=True)


def note(text: str, *, style: str = "dim") -> None:
    """Write one line to standard error."""
    stderr().print(Text(printable(text), style=style), soft_wrap=True)


def write_json(value: Any) -> None:
    """Write JSON to standard output: ASCII, so that no terminal takes anything in it for a command."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=True) + "\n")


def write_error(error: BackupsError) -> None:
    """Write an error: one line that says what, why and what to do. Several faults of settings get a line each."""
    if isinstance(error, SettingsError) and len(error.faults) > 1:
        head = error.message.removesuffix(" · ".join(error.faults)).rstrip(": ")
        note(f"Error: {head}. {error.hint}".rstrip(), style="bold red")
        for fault in error.faults:
            note(f"  {fault}", style="red")
    else:
        note(f"Error: {error}", style="bold red")


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    right: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> Table:
    """Return a table of plain text. ``right`` names the columns of numbers, ``whole`` those that are never wrapped."""
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        drawn.add_column(column, justify=justify, overflow="fold", no_wrap=column in (*right, *whole))
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row))
    return drawn


def write_pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Write names and their values to standard output, a line each: long values are for copying, so none is wrapped."""
    rows = list(rows)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        line = Text.assemble((f"{name:<{width}}  ", "dim"), printable(value))
        stdout().print(line, soft_wrap=True)


def instant(at: datetime | None, *, seconds: bool = False) -> str:
    """Return an instant as people read it, in UTC: ``2026-11-22 02:00``; a dash for None."""
    if at is None:
        return "–"
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")
