"""One instant of a database, held open and exported, so that pg_dump and the fingerprint read the same.

Every table that may be read is locked (``ACCESS SHARE``, which only stops ``TRUNCATE`` and changes of structure, as
pg_dump's own locks do) *before* the snapshot is taken. Without that, a ``TRUNCATE`` between the snapshot and the
moment when pg_dump locks would empty a table for one reader and not for the other: ``TRUNCATE`` does not respect
snapshots.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import psycopg
from psycopg import sql

from services.errors import DumpFailed
from services.jobs.context import RunContext
from services.postgres.connection import Address, Connection, cancel_soon, connect
from services.postgres.fingerprint_objects import read_sequences

LOCK_BATCH = 500
DEFAULT_LOCK_TIMEOUT = timedelta(minutes=2)

_LOCKABLE = """
SELECT n.nspname, c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
ORDER BY c.oid
"""


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot; it lives as long as its connection."""

    id: str
    """What ``SET TRANSACTION SNAPSHOT`` and ``pg_dump --snapshot`` take."""
    at: datetime
    """The instant, by the server's clock."""
    server_version: str
    server_major: int
    database_bytes: int
    connection: Connection
    sequences: dict[str, str]
    """Where each sequence stands: ``schema.name`` -> ``last_value/is_called``, see ``read_sequences``.

    Sequences know no snapshots: read before the dump, they are never ahead of what it holds."""


@contextmanager
def exported_snapshot(
    address: Address,
    *,
    excluded: Collection[tuple[str, str]] = (),
    lock_timeout: timedelta = DEFAULT_LOCK_TIMEOUT,
    run: RunContext | None = None,
) -> Iterator[Snapshot]:
    """Hold a ``REPEATABLE READ READ ONLY`` transaction open and its snapshot exported while the block runs.

    ``excluded`` tables (schema, name) are not locked, and the sequences that go with them not read. Raise
    ConnectionFailed, DumpFailed when a lock is not had within ``lock_timeout``, and what ``run`` raises when it has to
    stop meanwhile.
    """
    with connect(address) as connection:
        let_it_last(connection)
        wait = int(lock_timeout.total_seconds() * 1000)
        connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", [str(wait)])
        waiting = run.on_cancel(partial(cancel_soon, connection)) if run else nullcontext()
        with waiting, _explained(address, lock_timeout, run):
            tables = [row for row in connection.execute(_LOCKABLE).fetchall() if (row[0], row[1]) not in set(excluded)]
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for start in range(0, len(tables), LOCK_BATCH):
                names = (sql.Identifier(s, t) for s, t in tables[start : start + LOCK_BATCH])
                locked = sql.SQL(", ").join(sql.SQL("ONLY {}").format(name) for name in names)
                connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(locked))
            row = connection.execute(
                "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.clock_timestamp(),"
                " pg_catalog.pg_database_size(pg_catalog.current_database())"
            ).fetchone()
            sequences = read_sequences(connection, excluded)
        assert row is not None, "a SELECT without FROM gives one row"
        version = connection.info.server_version
        yield Snapshot(
            id=row[0],
            at=row[1].astimezone(UTC),
            server_version=server_version_text(connection),
            server_major=version // 10000,
            database_bytes=row[2],
            connection=connection,
            sequences=sequences,
        )
        # Nothing is to be committed: a session that the server has ended by now does not undo what was read in it.
        with suppress(psycopg.Error):
            connection.rollback()
        connection.close()


def server_version_text(connection: Connection) -> str:
    """Return the server's version without the packager's addition: ``15.14``, ``18beta1``."""
    return (connection.info.parameter_status("server_version") or "").split(" ")[0]


def let_it_last(connection: Connection) -> None:
    """Lift the limits that would end a long, mostly idle session. Unknown ones (older servers) are passed over."""
    connection.execute("SET statement_timeout = 0")  # at once: it may be too short for the statement below
    connection.execute(
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN"
        " ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')"
    )


@contextmanager
def _explained(address: Address, lock_timeout: timedelta, run: RunContext | None) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if run is not None:
            run.check_cancelled()
        if isinstance(error, psycopg.errors.LockNotAvailable):
            raise DumpFailed(
                f"A table of {address.dbname} is locked, and was not free within {lock_timeout.total_seconds():.0f} s.",
                hint="See pg_locks for who holds an ACCESS EXCLUSIVE lock (a migration, VACUUM FULL), "
                "or raise lock_timeout.",
            ) from error
        raise DumpFailed(
            f"No snapshot of {address.dbname} can be taken: {str(error).strip().splitlines()[0]}.",
            hint="Check the server's log and the rights of the role.",
        ) from error
