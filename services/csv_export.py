"""CSV that a spreadsheet opens as data: the one place where tables become CSV.

A cell that begins with ``=``, ``+``, ``-``, ``@`` or a control character is taken for a formula by Excel, LibreOffice
and Google Sheets, whoever wrote it; text gets an apostrophe before it then
(https://owasp.org/www-community/attacks/CSV_Injection). Numbers are written as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from services.clock import isoformat
from services.printable import printable

_FORMULA = ("=", "+", "-", "@")
_BLOCK = 200
"""Rows in one piece of text."""


def safe_cell(value: object) -> object:
    """Return a cell's value: instants as ISO 8601 in UTC, text on one line and never a formula, None and NaN as empty.

    Characters that could command a terminal are written as their escapes.
    """
    if value is None or value != value:
        return ""
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    text = str(value)
    shown = printable(text)
    begins_with_control = text[:1] != shown[:1]
    return f"'{shown}" if begins_with_control or text.startswith(_FORMULA) else shown


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield a table as CSV in pieces, the line of its columns first; rows are taken as they come."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([safe_cell(column) for column in columns])
    for count, row in enumerate(rows, start=1):
        writer.writerow([safe_cell(value) for value in row])
        if count % _BLOCK == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
