"""The objects around the tables: indexes, constraints, views, functions, triggers, extensions, …

The fingerprint holds each as ``identity = definition``. An identity that is on both sides with another
definition is *changed*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.postgres.fingerprint_later import LATER_KINDS
from services.restores.comparison_model import ObjectRow
from services.restores.excluded import Excluded, split_entry

_SHOWN = 160  # characters of a definition in words


def compare_objects(
    expected: Mapping[str, Iterable[str]], actual: Mapping[str, Iterable[str]], gone: Excluded
) -> list[ObjectRow]:
    """Given kind -> entries on both sides, return a row for each object that is not equal, by kind and name."""
    missing: list[tuple[str, str, str]] = []
    rows: list[ObjectRow] = []
    for kind in sorted({*expected, *actual}):
        if kind in LATER_KINDS and not (kind in expected and kind in actual):
            continue  # a fingerprint from before that kind was recorded
        want, have = dict(map(split_entry, expected.get(kind, ()))), dict(map(split_entry, actual.get(kind, ())))
        missing += [(kind, name, want[name]) for name in sorted(want.keys() - have.keys())]
        rows += [
            ObjectRow(kind, name, "unexpected", f"not in the source: {_short(have[name])}")
            for name in sorted(have.keys() - want.keys())
        ]
        rows += [
            ObjectRow(kind, name, "changed", f"is {_short(have[name])} instead of {_short(want[name])}")
            for name in sorted(want.keys() & have.keys())
            if want[name] != have[name]
        ]
    rows += _explain_missing(missing, gone)
    return sorted(rows, key=lambda row: (row.kind, row.name))


def _explain_missing(missing: list[tuple[str, str, str]], gone: Excluded) -> list[ObjectRow]:
    """Tell those that a partial backup cannot hold from those that it lost."""
    rows = []
    for kind, name, definition in missing:
        if (kind, name) in gone.dependent or (kind == "comments" and gone.explains_comment(name)):
            words = "depends on a table that the backup leaves out"
            rows.append(ObjectRow(kind, name, "depends on excluded", words))
        else:
            rows.append(ObjectRow(kind, name, "missing", f"missing: {_short(definition)}"))
    return rows


def _short(definition: str) -> str:
    line = " ".join(definition.split())
    if not line:
        return "without further definition"
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
