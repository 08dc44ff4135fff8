"""What the pre-checks want to know of a database, read in a handful of queries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.postgres.connection import Connection

LONG_TRANSACTION = timedelta(minutes=10)
QUERY_CHARACTERS = 120

_ROLE = """
SELECT current_user, r.rolsuper, pg_catalog.pg_database_size(pg_catalog.current_database()),
       pg_catalog.pg_is_in_recovery(), pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""
_TRANSACTIONS = """
SELECT pid, coalesce(usename, ''), pg_catalog.now() - xact_start, coalesce(state, ''),
       pg_catalog.left(pg_catalog.regexp_replace(query, '\\s+', ' ', 'g'), %(characters)s)
FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
  AND backend_type = 'client backend' AND xact_start < pg_catalog.now() - %(age)s
ORDER BY xact_start
"""
_PREPARED = """
SELECT gid, owner, prepared FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()
ORDER BY prepared
"""
_EXCLUSIVE = """
SELECT l.pid, n.nspname, c.relname
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = pg_catalog.current_database()
JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND c.relkind IN ('r', 'p', 'm', 'S')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
"""
_RELATIONS = """
SELECT n.nspname, c.relname, c.relpersistence = 'u',
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       pg_catalog.row_security_active(c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname
"""
_EXTENSIONS = "SELECT extname || ' ' || extversion FROM pg_catalog.pg_extension ORDER BY extname"
# As the server checks it: owner, a grant of SELECT to us or everybody, superuser, or the old free-for-all setting.
_LARGE_OBJECTS = """
SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE NOT (
         pg_catalog.pg_has_role(m.lomowner, 'USAGE')
         OR pg_catalog.current_setting('lo_compat_privileges')::bool
         OR EXISTS (SELECT FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'
                    AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))))
FROM pg_catalog.pg_largeobject_metadata m
"""


@dataclass(frozen=True)
class LongTransaction:
    """A session whose transaction is open for more than ten minutes."""

    pid: int
    user: str
    age: timedelta
    state: str
    query: str
    """Its last query, in one line, cut."""


@dataclass(frozen=True)
class PreparedTransaction:
    """A transaction that was prepared (two-phase commit) and neither committed nor rolled back."""

    gid: str
    owner: str
    prepared_at: datetime


@dataclass(frozen=True)
class DatabaseFacts:
    """One look at a database through the role that backs it up. Names are ``schema.name``."""

    user: str
    is_superuser: bool
    database_bytes: int
    in_recovery: bool
    """True on a standby."""
    sees_all_sessions: bool
    long_transactions: tuple[LongTransaction, ...]
    prepared_transactions: tuple[PreparedTransaction, ...]
    locked: tuple[str, ...]
    """Tables under an ACCESS EXCLUSIVE lock now, with the session's pid."""
    unreadable: tuple[str, ...]
    row_security: tuple[str, ...]
    """Tables whose rows row-level security filters for this role."""
    unlogged: tuple[str, ...]
    extensions: tuple[str, ...]
    """``name version``."""
    large_objects: int
    unreadable_large_objects: int


def read_facts(connection: Connection, excluded: Collection[tuple[str, str]] = ()) -> DatabaseFacts:
    """Return the facts of the connected database; ``excluded`` tables are not looked at. Raise psycopg.Error."""
    left_out = set(excluded)
    role = connection.execute(_ROLE).fetchone()
    objects = connection.execute(_LARGE_OBJECTS).fetchone()
    assert role is not None, "the current role is in pg_roles"
    assert objects is not None, "an aggregate gives one row"
    relations = [row for row in connection.execute(_RELATIONS) if (row[0], row[1]) not in left_out]
    transactions = connection.execute(_TRANSACTIONS, {"age": LONG_TRANSACTION, "characters": QUERY_CHARACTERS})
    locks = connection.execute(_EXCLUSIVE).fetchall()
    return DatabaseFacts(
        user=role[0],
        is_superuser=role[1],
        database_bytes=role[2],
        in_recovery=role[3],
        sees_all_sessions=role[1] or role[4],
        long_transactions=tuple(LongTransaction(*row) for row in transactions),
        prepared_transactions=tuple(PreparedTransaction(*row) for row in connection.execute(_PREPARED)),
        locked=tuple(f"{schema}.{name} (pid {pid})" for pid, schema, name in locks if (schema, name) not in left_out),
        unreadable=tuple(f"{row[0]}.{row[1]}" for row in relations if not row[3]),
        row_security=tuple(f"{row[0]}.{row[1]}" for row in relations if row[4]),
        unlogged=tuple(f"{row[0]}.{row[1]}" for row in relations if row[2]),
        extensions=tuple(row[0] for row in connection.execute(_EXTENSIONS)),
        large_objects=objects[0],
        unreadable_large_objects=objects[1],
    )
