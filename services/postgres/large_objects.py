"""Large objects in a fingerprint: how many, and a hash of their contents that does not depend on how they are stored.

A restored large object may have its holes written out as zeros, so trailing zeros of a page, and pages of nothing but
zeros, are left out of the hash; the object's size is in it.
"""

from __future__ import annotations

from services.postgres.connection import Connection

CONTENT = "content"

_PAGE = """
pg_catalog.hashtextextended(pageno::text || ':' || pg_catalog.rtrim(pg_catalog.encode(data, 'hex'), '0'), 0)"""
_OBJECT = "pg_catalog.hashtextextended(loid::text || ':' || size::text || ':' || coalesce(pages, 0)::text, 0)"
_FILLED = "pg_catalog.rtrim(pg_catalog.encode(data, 'hex'), '0') <> ''"

_FROM_PAGES = f"""
SELECT pg_catalog.sum({_OBJECT}) FROM (
  SELECT m.oid AS loid, coalesce(max(p.pageno::int8 * 2048 + pg_catalog.octet_length(p.data)), 0) AS size,
         sum({_PAGE}) FILTER (WHERE {_FILLED}) AS pages
  FROM pg_catalog.pg_largeobject_metadata m LEFT JOIN pg_catalog.pg_largeobject p ON p.loid = m.oid
  GROUP BY m.oid) o"""

# Without the right to read pg_largeobject: each object through its own rights, whole (up to 1 GB).
_FROM_OBJECTS = f"""
SELECT pg_catalog.sum({_OBJECT}) FROM (
  SELECT loid, pg_catalog.octet_length(whole) AS size,
    (SELECT sum({_PAGE}) FILTER (WHERE {_FILLED}) FROM (
       SELECT pageno, pg_catalog.substr(whole, pageno * 2048 + 1, 2048) AS data
       FROM pg_catalog.generate_series(0, (pg_catalog.octet_length(whole) - 1) / 2048) AS pageno) p) AS pages
  FROM (SELECT oid AS loid, pg_catalog.lo_get(oid) AS whole FROM pg_catalog.pg_largeobject_metadata OFFSET 0) w) o"""


def read_large_objects(connection: Connection, hashed: bool) -> tuple[str, ...]:
    """Return ``count = N`` and, when ``hashed``, ``content = SUM``. Raise psycopg.Error."""
    row = connection.execute(
        "SELECT pg_catalog.count(*), pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')"
        " FROM pg_catalog.pg_largeobject_metadata"
    ).fetchone()
    assert row is not None, "an aggregate gives one row"
    count, readable = row
    entries = [f"count = {count}"]
    if hashed:
        found = connection.execute(_FROM_PAGES if readable else _FROM_OBJECTS).fetchone()
        assert found is not None, "an aggregate gives one row"
        entries.append(f"{CONTENT} = {found[0] or 0}")
    return tuple(entries)
