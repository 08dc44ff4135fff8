"""What a partial backup cannot hold: its excluded tables, and whatever is built on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from services.postgres.fingerprint_objects import SEPARATOR
from services.postgres.patterns import pattern_to_regexes

_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\W\d][\w$]*)')
# The first separator outside double quotes: a quoted name may hold one.
_ENTRY = re.compile(rf'((?:"(?:[^"]|"")*"|[^"])*?){re.escape(SEPARATOR)}(.*)\Z', re.DOTALL)
_ANY_NAME = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
_WHERE_NAMED: dict[str, re.Pattern[str]] = {
    "constraints": re.compile(rf"REFERENCES ({_ANY_NAME})"),
    "indexes": re.compile(rf" ON (?:ONLY )?({_ANY_NAME})"),
    "views": re.compile(r" reads (.*?)(?: as [0-9a-f]{32})?\Z", re.DOTALL),
    "triggers": re.compile(rf" ON ({_ANY_NAME})"),
}
"""Where the definition of an object of this kind names what it is built on (see ``fingerprint_objects``)."""
_ANYWHERE = ("rules", "policies", "functions")
"""Kinds of which any name in identity or definition may be what they are built on."""


def split_entry(entry: str) -> tuple[str, str]:
    """Given an object of a fingerprint, return its identity and its definition (empty when it is only named)."""
    parts = _ENTRY.match(entry)
    return (parts[1], parts[2]) if parts else (entry, "")


def names_in(text: str) -> list[str]:
    """Return every identifier in a text, unquoted, in order."""
    return [quoted.replace('""', '"') or bare for quoted, bare in _NAME.findall(text)]


class Excluded:
    """The tables that a backup leaves out, by pg_dump's patterns, and what of the source's objects is built on them.

    The fingerprint's definitions carry no schemas, so tables are recognised by their bare names.
    """

    def __init__(self, patterns: Collection[str], objects: Mapping[str, Iterable[str]]) -> None:
        """``objects`` are those of the source's fingerprint: kind -> entries."""
        self._tables = [re.compile(pattern_to_regexes(pattern)[-1]) for pattern in patterns]
        self.dependent: set[tuple[str, str]] = set()
        """(kind, identity) of the objects that cannot be restored without the excluded tables."""
        self._dependent_views: set[str] = set()
        if patterns:
            self._find_dependent(objects)

    def has_view(self, name: str) -> bool:
        """Say whether a view of that bare name is built on an excluded table."""
        return name in self._dependent_views

    def owns_sequence(self, name: str) -> bool:
        """Say whether a sequence is called as PostgreSQL calls those of an excluded table: ``TABLE_COLUMN_seq``."""
        words = names_in(name)[-1].split("_")
        return any(self._is_table("_".join(words[:count])) for count in range(1, len(words)))

    def _find_dependent(self, objects: Mapping[str, Iterable[str]]) -> None:
        """Look until nothing more is found: a view on a view on an excluded table needs a second round."""
        entries = [
            (kind, *split_entry(entry)) for kind in (*_WHERE_NAMED, *_ANYWHERE) for entry in objects.get(kind, ())
        ]
        before = -1
        while before != len(self.dependent):
            before = len(self.dependent)
            for kind, identity, definition in entries:
                if any(map(self._is_gone, _built_on(kind, identity, definition))):
                    self.dependent.add((kind, identity))
                    if kind == "views":
                        self._dependent_views.add(names_in(identity)[-1])
        self.dependent |= {
            ("sequences", identity)
            for identity, _ in map(split_entry, objects.get("sequences", ()))
            if self.owns_sequence(identity)
        }

    def _is_gone(self, name: str) -> bool:
        return name in self._dependent_views or self._is_table(name)

    def _is_table(self, name: str) -> bool:
        return any(pattern.match(name) for pattern in self._tables)


def _built_on(kind: str, identity: str, definition: str) -> list[str]:
    """Return the bare names that an object may be built on."""
    if kind in _ANYWHERE:
        return names_in(identity) + names_in(definition)
    found = _WHERE_NAMED[kind].search(definition)
    return names_in(found[1]) if found else []
