"""Collations of ICU: which a database uses, and whether a server has any (it may be built without ICU)."""

from __future__ import annotations

from services.postgres.connection import Connection

DEFAULT = "the database's own locale"

_FIRST_OF_USERS = 16384
"""The oids below are those of initdb (FirstNormalObjectId)."""
_USED = f"""
SELECT c.collname::text
FROM pg_catalog.pg_collation c
WHERE c.collprovider = 'i' AND (
    c.oid >= {_FIRST_OF_USERS}
    OR EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attcollation = c.oid AND a.attrelid >= {_FIRST_OF_USERS} AND NOT a.attisdropped)
    OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typcollation = c.oid AND t.oid >= {_FIRST_OF_USERS})
)
ORDER BY 1
"""
# A server without ICU knows "unicode" by name all the same (PostgreSQL 16 and newer), but none of those it imports.
_HAS = "SELECT EXISTS (SELECT FROM pg_catalog.pg_collation WHERE collprovider = 'i' AND collname LIKE '%-x-icu')"
_DEFAULT = "SELECT datlocprovider = 'i' FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"


def icu_in_use(connection: Connection) -> tuple[str, ...]:
    """Return the names of the ICU collations that the connected database uses, ``DEFAULT`` first where that is one."""
    names = [name for (name,) in connection.execute(_USED.encode())]
    if connection.info.server_version >= 150000:
        row = connection.execute(_DEFAULT.encode()).fetchone()
        if row is not None and row[0]:
            names.insert(0, DEFAULT)
    return tuple(names)


def has_icu(connection: Connection) -> bool:
    """Say whether the server was built with ICU."""
    row = connection.execute(_HAS.encode()).fetchone()
    return bool(row and row[0])
