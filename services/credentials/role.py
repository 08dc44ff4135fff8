"""What the role that backs up may do and must not: pre-checks say what it lacks, this says what it has too much."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from services.postgres.connection import Address, connect
from services.settings.model import DatabaseSettings

Finding = tuple[Literal["ok", "warning", "failed"], str, str]
POLICY = "docs/credentials.md has the statements for a role that only reads."

_ATTRIBUTES = """
SELECT rolname, rolsuper, rolcreatedb, rolcreaterole, rolreplication,
       has_database_privilege(current_database(), 'CREATE') AS creates
FROM pg_roles WHERE rolname = current_user
"""
_WRITABLE = """
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
  AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
ORDER BY 1 LIMIT 1000
"""


def check_role(database: DatabaseSettings) -> Iterator[Finding]:
    """Say what the role can do besides reading. Raise ConnectionFailed."""
    with connect(Address.parse(database.url.get_secret_value())) as connection:
        row = connection.execute(_ATTRIBUTES).fetchone()
        assert row is not None  # every session has a role
        name, superuser, createdb, createrole, replication, creates = row
        writable = [] if superuser else [found[0] for found in connection.execute(_WRITABLE)]
    if superuser:
        yield "warning", f"{name} is a superuser: whoever has its password has the whole server.", POLICY
        return
    many = "1 table" if len(writable) == 1 else f"{len(writable):,} tables"
    too_much = {
        "make databases (CREATEDB)": createdb,
        "make roles (CREATEROLE)": createrole,
        "copy the whole server (REPLICATION), though point in time is off": replication and not database.pitr.enabled,
        "make schemas in the database (CREATE)": creates,
        f"write to {many} ({', '.join(writable[:3])}{', …' if len(writable) > 3 else ''})": bool(writable),
    }
    said = [what for what, holds in too_much.items() if holds]
    if said:
        yield "warning", f"{name} may {'; '.join(said)}. A backup needs none of it.", POLICY
    else:
        restoring = f"`backups restore` onto this very server needs ALTER ROLE {name} CREATEDB for its time"
        yield "ok", f"{name} can read, and can neither write nor make anything; {restoring}.", ""
