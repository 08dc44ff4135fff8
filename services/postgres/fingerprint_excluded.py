"""What a dump without some tables holds and cannot restore: foreign keys to them, and rules that name them.

Their printed definitions, without qualifiers (see ``canonical``), do not tell a table from another of the same name in
another schema; the server's own record of what depends on what does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import LiteralString

from services.postgres.connection import Connection

_GONE: LiteralString = (
    "gone AS (SELECT c.oid FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN unnest(%s::text[], %s::text[]) AS e (schema, name) ON n.nspname = e.schema AND c.relname = e.name)"
)
_IDENTITY: LiteralString = " || ' on ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
_QUERIES: dict[str, LiteralString] = {
    # A key to a partitioned table has a row for each of its partitions, below the one that a dump holds.
    "constraints": "WITH RECURSIVE " + _GONE + ", keys AS ("
    " SELECT r.oid, r.conparentid FROM pg_catalog.pg_constraint r JOIN gone ON gone.oid = r.confrelid"
    "  WHERE r.contype = 'f'"
    " UNION SELECT p.oid, p.conparentid FROM keys JOIN pg_catalog.pg_constraint p ON p.oid = keys.conparentid)"
    " SELECT pg_catalog.quote_ident(r.conname)" + _IDENTITY + " FROM keys"
    " JOIN pg_catalog.pg_constraint r ON r.oid = keys.oid JOIN pg_catalog.pg_class c ON c.oid = r.conrelid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE r.conparentid = 0 AND c.oid NOT IN (SELECT oid FROM gone)",
    "rules": "WITH " + _GONE + " SELECT DISTINCT pg_catalog.quote_ident(w.rulename)" + _IDENTITY + " FROM gone"
    " JOIN pg_catalog.pg_depend d ON d.refobjid = gone.oid"
    "  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "  AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass"
    " JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid JOIN pg_catalog.pg_class c ON c.oid = w.ev_class"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE w.rulename <> '_RETURN' AND c.oid NOT IN (SELECT oid FROM gone)",
}  # fmt: skip


def read_on_excluded(
    connection: Connection,
    excluded: Collection[tuple[str, str]],
    without_data: Collection[tuple[str, str]] = (),
) -> dict[str, tuple[str, ...]]:
    """Given (schema, name) of the excluded tables, return kind -> sorted identities, as ``read_objects`` has them.

    Only of tables that are kept. A foreign key to a table ``without_data`` cannot be made either, but from another one
    of these. Raise psycopg.Error.
    """
    found = {kind: _built_on(connection, kind, excluded) for kind in _QUERIES} if excluded else {}
    if without_data:
        kind = "constraints"
        found[kind] = found.get(kind, set()) | _built_on(connection, kind, without_data)
    return {kind: tuple(sorted(names)) for kind, names in found.items()}


def _built_on(connection: Connection, kind: str, relations: Collection[tuple[str, str]]) -> set[str]:
    schemas, names = [schema for schema, _ in relations], [name for _, name in relations]
    return {row[0] for row in connection.execute(_QUERIES[kind], [schemas, names])}
