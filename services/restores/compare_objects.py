"""The objects around the tables: indexes, constraints, views, functions, triggers, extensions, …

The fingerprint holds each as ``identity`` + SEPARATOR + what defines it. An identity that is on both sides with another
definition is *changed*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from services.postgres.fingerprint_objects import SEPARATOR
from services.restores.comparison_model import ObjectRow
from services.restores.excluded import Excluded

_SHOWN = 160  # characters of a definition in words
# The first separator outside double quotes: a quoted name may hold one.
_ENTRY = re.compile(rf'((?:"(?:[^"]|"")*"|[^"])*?){re.escape(SEPARATOR)}(.*)\Z', re.DOTALL)


def compare_objects(
    expected: Mapping[str, Iterable[str]], actual: Mapping[str, Iterable[str]], gone: Excluded
) -> list[ObjectRow]:
    """Given kind -> entries on both sides, return a row for each object that is not equal, by kind and name.

    ``gone`` learns the missing views that read an excluded table: what reads those views depends on it too.
    """
    missing: list[tuple[str, str, str]] = []
    rows: list[ObjectRow] = []
    for kind in sorted({*expected, *actual}):
        want, have = _by_identity(expected.get(kind, ())), _by_identity(actual.get(kind, ()))
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
    dependent: set[tuple[str, str]] = set()
    found = bool(gone)
    while found:  # a view on a view on an excluded table needs a second round
        found = False
        for kind, name, definition in missing:
            if (kind, name) not in dependent and _depends(kind, name, definition, gone):
                dependent.add((kind, name))
                gone.add(name)
                found = True
    rows = []
    for kind, name, definition in missing:
        if (kind, name) in dependent:
            words = "depends on a table that the backup leaves out"
            rows.append(ObjectRow(kind, name, "depends on excluded", words))
        else:
            rows.append(ObjectRow(kind, name, "missing", f"missing: {_short(definition)}"))
    return rows


def _depends(kind: str, name: str, definition: str, gone: Excluded) -> bool:
    if kind == "sequences":
        return gone.owns_sequence(name)
    return gone.mentions(definition) or gone.mentions(name)


def _by_identity(entries: Iterable[str]) -> dict[str, str]:
    """Given entries, return identity -> definition (empty for an object that is only named)."""
    found: dict[str, str] = {}
    for entry in entries:
        parts = _ENTRY.match(entry)
        identity, definition = (parts[1], parts[2]) if parts else (entry, "")
        found[identity] = definition
    return found


def _short(definition: str) -> str:
    line = " ".join(definition.split())
    if not line:
        return "without further definition"
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
