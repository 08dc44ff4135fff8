"""What is in a restored server: its databases, their tables, their rows, each of them read once."""

from __future__ import annotations

from functools import partial

import psycopg
from psycopg import sql

from services.errors import BackupsError
from services.jobs.context import RunContext
from services.pitr.point_report import DatabaseFound
from services.postgres.connection import Address, Connection, cancel_soon, connect

COUNT_LIMIT = 10**9
"""Bytes of a table up to which its rows are counted: the test is to end in time."""
_TABLES = """
SELECT n.nspname, c.relname, pg_table_size(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relpersistence = 'p'
ORDER BY 1, 2
"""


def look_around(server: Address, run: RunContext) -> tuple[DatabaseFound, ...]:
    """Return what is in each database but the templates. Raise Cancelled.

    One that cannot be read is reported with its reason, which the caller judges.
    """
    with connect(server.with_database("template1")) as connection:
        names = connection.execute(
            "SELECT datname, pg_database_size(oid) FROM pg_database WHERE NOT datistemplate AND datallowconn ORDER BY 1"
        ).fetchall()
    return tuple(_look(server.with_database(name), name, size, run) for name, size in names)


def _look(address: Address, name: str, size: int, run: RunContext) -> DatabaseFound:
    try:
        with connect(address) as connection, run.on_cancel(partial(cancel_soon, connection)):
            tables = connection.execute(_TABLES).fetchall()
            rows, uncounted = 0, []
            for number, (schema, table, its) in enumerate(tables, 1):
                run.progress(number)
                if its <= COUNT_LIMIT:
                    rows += _count(connection, schema, table)
                else:
                    uncounted.append(f"{schema}.{table}")
    except (psycopg.Error, BackupsError) as error:
        run.check_cancelled()
        return DatabaseFound(name, 0, size, None, str(error).strip().partition("\n")[0])
    return DatabaseFound(name, len(tables), size, rows, uncounted=tuple(uncounted))


def _count(connection: Connection, schema: str, table: str) -> int:
    query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(schema, table))
    row = connection.execute(query).fetchone()
    assert row is not None
    count: int = row[0]
    return count
