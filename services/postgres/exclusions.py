"""What a backup leaves out: tables, or the data of tables, by pattern; looked up before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from services.errors import NothingMatches
from services.postgres.connection import Connection
from services.postgres.patterns import match_tables

Relation = tuple[str, str]

_TABLES = """
SELECT n.nspname, c.relname, c.relkind, CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_catalog.pg_table_size(c.oid) END
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
"""
_PARTITIONS = """
WITH RECURSIVE below AS (
  SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest(%s::text[], %s::text[]) AS asked (schema, name) ON n.nspname = asked.schema AND c.relname = asked.name
  UNION SELECT i.inhrelid FROM below JOIN pg_catalog.pg_class p ON p.oid = below.oid AND p.relkind = 'p'
  JOIN pg_catalog.pg_inherits i ON i.inhparent = below.oid)
SELECT n.nspname, c.relname FROM below JOIN pg_catalog.pg_class c ON c.oid = below.oid AND c.relkind = 'r'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Exclusions:
    """pg_dump patterns of what is left out."""

    tables: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """Of tables whose definition stays."""

    def __bool__(self) -> bool:
        return bool(self.tables or self.data)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return what a backup's row says of it; never empty when something is left out."""
        return (*self.tables, *(f"data of {pattern}" for pattern in self.data))

    def with_more(self, tables: Sequence[str], data: Sequence[str]) -> Exclusions:
        """Return these and others, each once."""
        return Exclusions(tuple(dict.fromkeys((*self.tables, *tables))), tuple(dict.fromkeys((*self.data, *data))))


@dataclass(frozen=True)
class LeftOut:
    """One relation that is left out."""

    schema: str
    name: str
    what: Literal["table", "data"]
    bytes: int
    """Of its rows in the source, without indexes; 0 of what has none."""

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Excluded:
    """What the patterns match now."""

    tables: tuple[Relation, ...] = ()
    data: tuple[Relation, ...] = ()
    """Tables without data, partitions of those that were named among them; none that is left out altogether."""
    listed: tuple[LeftOut, ...] = ()
    """All of both, the largest first."""
    all_bytes: int = 0
    """Of the rows of every table of the database."""

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.listed)


NOTHING = Excluded()


def look_up(connection: Connection, exclusions: Exclusions) -> Excluded:
    """Return what is left out. Raise NothingMatches for a pattern that matches nothing, and when nothing is left."""
    if not exclusions:
        return NOTHING
    tables = match_tables(connection, exclusions.tables)
    named = match_tables(connection, exclusions.data)
    parts = [[relation[place] for relation in named] for place in (0, 1)]
    gone = set(tables)
    data = [(s, n) for s, n in connection.execute(_PARTITIONS, parts).fetchall() if (s, n) not in gone]
    if exclusions.data and not data:
        raise NothingMatches(
            f"No table whose data could be left out matches {', '.join(repr(p) for p in exclusions.data)}.",
            hint="Views, sequences and tables that are left out altogether have no data to leave out.",
        )
    sizes = {(schema, name): (kind, size) for schema, name, kind, size in connection.execute(_TABLES)}
    holding = {relation for relation, (kind, _) in sizes.items() if kind == "r"}
    if holding and holding <= gone | set(data):
        raise NothingMatches(
            "The patterns match every table: nothing would be in the backup.",
            hint="Leave out less; `backups preflight` shows what a pattern matches.",
        )
    listed = [LeftOut(*relation, "table", sizes.get(relation, ("", 0))[1]) for relation in tables]
    listed += [LeftOut(*relation, "data", sizes[relation][1]) for relation in data]
    return Excluded(
        tables=tuple(tables),
        data=tuple(data),
        listed=tuple(sorted(listed, key=lambda each: (-each.bytes, each.label))),
        all_bytes=sum(size for _, size in sizes.values()),
    )


def exact_pattern(relation: Relation) -> str:
    """Return the pattern that matches this relation alone."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in relation)
