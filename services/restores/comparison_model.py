"""What a comparison found, row by row, in a form that is kept in the catalogue and drawn on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

HashResult = Literal["equal", "differs", "not compared"]
TableOutcome = Literal["equal", "count only", "recomputed", "differs", "missing", "unexpected", "depends on excluded"]
SequenceOutcome = Literal["equal", "moved on", "differs", "missing", "unexpected", "depends on excluded"]
ObjectOutcome = Literal["changed", "missing", "unexpected", "depends on excluded"]

DIFFERENCES = frozenset({"differs", "missing", "unexpected", "changed"})
"""Outcomes with which a restore test fails. All others are no fault of the backup, and are said."""


@dataclass(frozen=True)
class TableRow:
    """One table (or materialized view), there and here."""

    schema: str
    name: str
    kind: str
    expected_rows: int | None
    """None: the source had no such table."""
    actual_rows: int | None
    """None: the restored database has no such table."""
    hash: HashResult
    outcome: TableOutcome
    words: str

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class SequenceRow:
    """One sequence; values are ``last_value/is_called``, None where there is none."""

    name: str
    expected: str | None
    actual: str | None
    outcome: SequenceOutcome
    words: str


@dataclass(frozen=True)
class ObjectRow:
    """One index, constraint, view, … that is not as it was in the source. Equal ones are only counted."""

    kind: str
    name: str
    outcome: ObjectOutcome
    words: str


@dataclass(frozen=True)
class Comparison:
    """A fingerprint of the source against that of a restored database."""

    tables: tuple[TableRow, ...]
    sequences: tuple[SequenceRow, ...]
    objects: tuple[ObjectRow, ...]
    """Only those that are not equal."""
    object_counts: dict[str, int] = field(default_factory=dict)
    """kind -> how many the source had."""

    @property
    def is_equal(self) -> bool:
        """Nothing that the backup holds is missing, unexpected or different."""
        return not self.differences()

    def differences(self) -> list[str]:
        """Return each difference in words, tables first."""
        found = [f"{t.kind} {t.label}: {t.words}" for t in self.tables if t.outcome in DIFFERENCES]
        found += [f"sequence {s.name}: {s.words}" for s in self.sequences if s.outcome in DIFFERENCES]
        found += [f"{o.kind}: {o.name}: {o.words}" for o in self.objects if o.outcome in DIFFERENCES]
        return found

    def remarks(self) -> list[str]:
        """Return in words what was not compared, and why; nothing of it is a difference."""
        found = [f"{t.kind} {t.label}: {t.words}" for t in self.tables if t.outcome not in DIFFERENCES | {"equal"}]
        found += [f"sequence {s.name}: {s.words}" for s in self.sequences if s.outcome == "depends on excluded"]
        found += [f"{o.kind}: {o.name}: {o.words}" for o in self.objects if o.outcome == "depends on excluded"]
        return found

    @property
    def count_only(self) -> tuple[str, ...]:
        """Labels of the tables whose content was not compared, only the number of their rows."""
        return tuple(t.label for t in self.tables if t.outcome == "count only")

    @property
    def rows(self) -> int:
        """Rows in the restored database."""
        return sum(t.actual_rows or 0 for t in self.tables)

    def to_json(self) -> dict[str, Any]:
        """Return a form that JSON holds."""
        return {
            "tables": [asdict(t) for t in self.tables],
            "sequences": [asdict(s) for s in self.sequences],
            "objects": [asdict(o) for o in self.objects],
            "object_counts": dict(self.object_counts),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Comparison:
        """Return the comparison that ``to_json`` wrote. Raise KeyError or TypeError for anything else."""
        return cls(
            tables=tuple(TableRow(**t) for t in data["tables"]),
            sequences=tuple(SequenceRow(**s) for s in data["sequences"]),
            objects=tuple(ObjectRow(**o) for o in data["objects"]),
            object_counts=dict(data["object_counts"]),
        )
