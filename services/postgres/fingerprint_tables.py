"""The tables of a fingerprint: which there are, and the SQL that counts and hashes one.

A table's content hash is the sum of one 64-bit hash a row, so that the order of rows does not matter. Two methods:

``record``
    ``hash_record_extended`` of the row (PostgreSQL 14 and newer; three times as fast as text). It chains column hashes
    linearly, so that two rows which exchange a value would keep their sum; ``hashint8extended`` on top prevents that.
``text``
    ``hashtextextended`` of the row as text, for PostgreSQL 13, which cannot hash a row.

Columns stand in the order of their names, since a restored table may number them otherwise. Generated columns are left
out: they are computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from services.postgres.connection import Connection

COLUMNS_IN_ROW = 800
"""ROW() takes 1664 entries at most; wider tables are nested."""

# Types whose native hash depends on the value alone, by oid (fixed in pg_type.dat; the same in every version).
# Not among them: numeric, interval (1.0 and 1.00, 24 hours and 1 day hash equal, print differently), enums (hash by
# oid), json and xml (no hash), and whatever comes from an extension.
_NATIVE = {
    16: "bool", 17: "bytea", 18: '"char"', 19: "name", 20: "int8", 21: "int2", 23: "int4", 25: "text", 26: "oid",
    650: "cidr", 700: "float4", 701: "float8", 774: "macaddr8", 829: "macaddr", 869: "inet", 1042: "bpchar",
    1043: "varchar", 1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1266: "timetz",
    2950: "uuid", 3802: "jsonb",
}  # fmt: skip

_TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_table_size(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated) AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
"""

_COLUMNS = """
SELECT a.attrelid, a.attname, coalesce(nullif(b.typbasetype, 0), nullif(t.typbasetype, 0), t.oid)::pg_catalog.int8,
       e.oid::pg_catalog.int8
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype AND b.typtype = 'd'
LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid
WHERE a.attrelid = ANY (%s::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attrelid, a.attname COLLATE "C"
"""


@dataclass(frozen=True)
class Column:
    """A column that is hashed. ``type_oid``: of the type, or of the base type of a domain."""

    name: str
    type_oid: int
    element_oid: int | None
    """Of an array's elements; None for what is no array."""


@dataclass(frozen=True)
class Table:
    """A table to count and hash."""

    schema: str
    name: str
    kind: str
    bytes: int
    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[str, str]:
        return self.schema, self.name


def list_tables(connection: Connection, excluded: Collection[tuple[str, str]]) -> list[Table]:
    """Return every table with rows of its own (leaf partitions, children, filled materialized views), by name.

    Left out: temporary tables, and those of extensions (the extension makes them).
    """
    rows = [row for row in connection.execute(_TABLES).fetchall() if (row[1], row[2]) not in excluded]
    columns: dict[int, list[Column]] = {row[0]: [] for row in rows}
    for table_oid, name, type_oid, element_oid in connection.execute(_COLUMNS, [list(columns)]):
        columns[table_oid].append(Column(name, type_oid, element_oid))
    return [
        Table(schema, name, "materialized view" if kind == "m" else "table", size, tuple(columns[oid]))
        for oid, schema, name, kind, size in rows
    ]


def measure(table: Table, method: str, position: int) -> sql.Composed:
    """Return the SELECT of ``(position, rows, hash)`` of a table; the hash is NULL for method ``count``."""
    source = sql.Identifier(table.schema, table.name)
    if method == "count":
        return sql.SQL("SELECT {}::int4, pg_catalog.count(*), NULL::numeric FROM ONLY {} AS t").format(position, source)
    if method == "record":
        row, mixed = _record_hash([_native(c) for c in table.columns]), sql.SQL("pg_catalog.hashint8extended(h, h)")
    else:
        row, mixed = _text_hash([_column(c) for c in table.columns]), sql.SQL("h")
    # OFFSET 0 keeps the planner from computing h twice.
    return sql.SQL(
        "SELECT {}::int4, pg_catalog.count(*), pg_catalog.sum({}) FROM (SELECT {} AS h FROM ONLY {} AS t OFFSET 0) s"
    ).format(position, mixed, row, source)


def _native(column: Column) -> sql.Composable:
    """Return what is hashed of a column: itself where its hash is sound, else its text."""
    name = _column(column)
    if column.type_oid in _NATIVE:
        # The cast leads a domain back to its base type.
        return sql.SQL("{}::pg_catalog.{}").format(name, sql.SQL(_NATIVE[column.type_oid]))
    if column.element_oid in _NATIVE:
        # An array's hash knows nothing of its dimensions.
        return sql.SQL("{}, pg_catalog.array_dims({})").format(name, name)
    return sql.SQL("{}::text").format(name)


def _column(column: Column) -> sql.Composable:
    return sql.Identifier("t", column.name)


def _record_hash(columns: Sequence[sql.Composable]) -> sql.Composable:
    hashed = sql.SQL("pg_catalog.hash_record_extended(ROW({}), 0)")
    parts = [hashed.format(chunk) for chunk in _chunks(columns)]
    # A row within a row cannot be hashed; a row of hashes can.
    return parts[0] if len(parts) == 1 else hashed.format(sql.SQL(", ").join(parts))


def _text_hash(columns: Sequence[sql.Composable]) -> sql.Composable:
    rows = sql.SQL(", ").join(sql.SQL("ROW({})").format(chunk) for chunk in _chunks(columns))
    return sql.SQL('pg_catalog.hashtextextended(ROW({})::text COLLATE "C", 0)').format(rows)


def _chunks(columns: Sequence[sql.Composable]) -> Iterator[sql.Composed]:
    for start in range(0, len(columns), COLUMNS_IN_ROW):
        yield sql.SQL(", ").join(columns[start : start + COLUMNS_IN_ROW])
