"""What a partial backup cannot hold: its excluded tables, and whatever is built on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from services.postgres.patterns import pattern_to_regexes

_NAME = re.compile(r'"((?:[^"]|"")*)"|([^\W\d][\w$]*)')


class Excluded:
    """The tables that a backup leaves out, by pg_dump's patterns, and what was found to depend on them.

    The fingerprint's definitions carry no schemas, so tables are recognised by their bare names. That is asked only of
    objects that are missing from a restored partial backup.
    """

    def __init__(self, patterns: Collection[str]) -> None:
        self._tables = [re.compile(pattern_to_regexes(pattern)[-1]) for pattern in patterns]
        self._dependent: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._tables)

    def add(self, name: str) -> None:
        """Add an object (``schema.name``) that depends on an excluded table, so that others may depend on it."""
        self._dependent.add(list(_names(name))[-1])

    def mentions(self, definition: str) -> bool:
        """Say whether a definition or an identity names an excluded table, or an object that depends on one."""
        return any(name in self._dependent or self._is_table(name) for name in _names(definition))

    def owns_sequence(self, name: str) -> bool:
        """Say whether a sequence is called as PostgreSQL calls those of an excluded table: ``TABLE_COLUMN_seq``."""
        words = list(_names(name))[-1].split("_")
        return any(self._is_table("_".join(words[:count])) for count in range(1, len(words)))

    def _is_table(self, name: str) -> bool:
        return any(pattern.match(name) for pattern in self._tables)


def _names(text: str) -> Iterator[str]:
    """Yield every identifier in a text, unquoted."""
    for quoted, bare in _NAME.findall(text):
        yield quoted.replace('""', '"') or bare
