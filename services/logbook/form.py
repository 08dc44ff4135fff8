"""The three forms in which a log is written, and the values that every JSON of the product writes alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

from services.catalog.model import Backup
from services.clock import isoformat
from services.csv_export import csv_text

LogForm = Literal["template", "csv", "json"]


def in_seconds(length: timedelta) -> float:
    """Return a duration in seconds, to a millisecond."""
    return round(length.total_seconds(), 3)


def check_state(backup: Backup) -> dict[str, Any]:
    """Return what a backup's verifications together say: ``{level, at, passed}``, each null before the first one."""
    return {
        "level": backup.verification_level,
        "at": isoformat(backup.verification_at),
        "passed": backup.verification_passed,
    }


def as_text(entries: Iterable[str], *, between: str = "\n") -> Iterator[str]:
    """Yield entries as text, with ``between`` before each but the first."""
    for number, entry in enumerate(entries):
        yield f"{between if number else ''}{entry}\n"


def as_csv(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield records as CSV that is safe in a spreadsheet; without any there is the line of columns alone."""
    return csv_text(columns, (tuple(record[column] for column in columns) for record in records))


def as_json(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield records as one JSON list, a record a line; ASCII, so that nothing in it commands a terminal."""
    begun = False
    for record in records:
        yield f"{',' if begun else '['}\n{json.dumps(record, ensure_ascii=True)}"
        begun = True
    yield "\n]\n" if begun else "[]\n"
