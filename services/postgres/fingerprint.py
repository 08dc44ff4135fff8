"""The fingerprint: what a database holds at one instant, counted and hashed table by table, and the objects around.

Taken twice: of the source in the dump's own snapshot, and of the restored database with the same methods. Equality of
the two is the proof that the backup restores.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import psycopg
from psycopg import sql

from services.errors import BackupsError
from services.jobs.context import RunContext
from services.postgres.connection import Address, Connection, cancel_soon, connect
from services.postgres.fingerprint_excluded import read_on_excluded
from services.postgres.fingerprint_model import Fingerprint, TableFingerprint
from services.postgres.fingerprint_objects import read_objects, read_sequences
from services.postgres.fingerprint_tables import Table, list_tables, measure
from services.postgres.large_objects import CONTENT, read_large_objects
from services.postgres.snapshot import let_it_last, server_version_text

SMALL_BYTES = 4_000_000
"""Tables up to this size share a query, so that thousands of partitions cost few round trips."""
GROUP_BYTES = 32_000_000
GROUP_TABLES = 50
APPLICATION = "backups fingerprint"
LOCK_MILLISECONDS = 120_000

# Whatever changes how a value is printed, and what would hide rows or slow the source down.
_SETTINGS = {
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    "quote_all_identifiers": "off",
    "row_security": "off",
    "default_transaction_read_only": "on",
    "synchronize_seqscans": "off",
    "lock_timeout": str(LOCK_MILLISECONDS),
    "jit": "off",
}


def take_fingerprint(
    address: Address,
    *,
    snapshot_id: str | None,
    hash_limit: int,
    excluded: Collection[tuple[str, str]] = (),
    without_data: Collection[tuple[str, str]] = (),
    like: Fingerprint | None = None,
    sequences: dict[str, str] | None = None,
    run: RunContext | None = None,
) -> Fingerprint:
    """Count every table, and hash those of at most ``hash_limit`` bytes, in the exported snapshot (or one of our own).

    ``without_data``: tables whose rows the dump leaves out; they are taken as empty, as they will be restored.
    ``sequences``: their positions, read before (see ``read_sequences``), since they know no snapshots.
    ``like``: each table that is in it is read by the method recorded there, whatever its size.
    Raise ConnectionFailed; Cancelled; BackupsError when any table cannot be read: nothing is passed over.
    """
    started = time.monotonic()
    with connect(address, application_name=APPLICATION) as connection:
        let_it_last(connection)
        connection.execute(
            "SELECT pg_catalog.set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s (name, value)",
            [list(_SETTINGS), list(_SETTINGS.values())],
        )
        stop = run.on_cancel(partial(cancel_soon, connection)) if run else nullcontext()
        with stop, _explained(address, run):
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            if snapshot_id is not None:
                connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(snapshot_id))
                # The source serves others, and its dump runs beside this.
                connection.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            if sequences is None:
                sequences = read_sequences(connection, excluded)
            measured = _measure_all(connection, hash_limit, excluded, set(without_data), like, run)
            objects = read_objects(connection, excluded)
            on_excluded = read_on_excluded(connection, excluded, without_data)
            objects["large objects"] = read_large_objects(connection, _hash_large_objects(like, hash_limit, connection))
            version = server_version_text(connection)
    return Fingerprint(
        server_version=version,
        tables=tuple(measured),
        sequences=sequences,
        objects=objects,
        on_excluded=on_excluded,
        seconds=round(time.monotonic() - started, 3),
    )


def _measure_all(
    connection: Connection,
    hash_limit: int,
    excluded: Collection[tuple[str, str]],
    without_data: set[tuple[str, str]],
    like: Fingerprint | None,
    run: RunContext | None,
) -> list[TableFingerprint]:
    recorded = {(t.schema, t.name): t for t in like.tables} if like else {}
    best = "record" if connection.info.server_version >= 140000 else "text"
    tables = list_tables(connection, set(excluded) | without_data)
    empty = [
        TableFingerprint(table.schema, table.name, 0, "0", best, table.bytes, table.kind)
        for table in (list_tables(connection, set(excluded)) if without_data else ())
        if table.key in without_data
    ]
    methods = [
        (recorded[table.key].method, recorded[table.key].why_no_hash)
        if table.key in recorded
        else _method(table, best, hash_limit)
        for table in tables
    ]
    measured: list[TableFingerprint] = []
    for group in _groups(tables):
        if run is not None:
            run.check_cancelled()
        query = sql.SQL(" UNION ALL ").join(measure(tables[i], methods[i][0], i) for i in group)
        found = {position: (rows, total) for position, rows, total in connection.execute(query)}
        for i in group:
            rows, total = found[i]
            method, why = methods[i]
            # The sum of no rows is NULL, and 0 is what it means.
            content = None if method == "count" else str(total if total is not None else 0)
            table = tables[i]
            measured.append(
                TableFingerprint(table.schema, table.name, rows, content, method, table.bytes, table.kind, why)
            )
    return measured + empty


def _method(table: Table, best: str, hash_limit: int) -> tuple[str, str]:
    if table.bytes > hash_limit or hash_limit == 0:
        return "count", f"{table.bytes} bytes are more than the limit of {hash_limit}"
    if not table.columns:
        return "count", "it has no columns of its own to hash"
    return best, ""


def _groups(tables: list[Table]) -> Iterator[list[int]]:
    """Yield positions of tables that are read by one query: a large one alone, small ones together."""
    group: list[int] = []
    size = 0
    for position, table in enumerate(tables):
        if table.bytes > SMALL_BYTES:
            yield [position]
            continue
        if group and (len(group) == GROUP_TABLES or size + table.bytes > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(position)
        size += table.bytes
    if group:
        yield group


def _hash_large_objects(like: Fingerprint | None, hash_limit: int, connection: Connection) -> bool:
    if like is not None:
        return any(entry.startswith(CONTENT) for entry in like.objects.get("large objects", ()))
    row = connection.execute("SELECT pg_catalog.pg_table_size('pg_catalog.pg_largeobject')").fetchone()
    assert row is not None, "a SELECT without FROM gives one row"
    size: int = row[0]
    return hash_limit > 0 and size <= hash_limit


@contextmanager
def _explained(address: Address, run: RunContext | None) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if run is not None:
            run.check_cancelled()
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BackupsError(
            f"The fingerprint of {address.label()} cannot be taken: {reason}.",
            hint=_hint(error),
            may_pass=not isinstance(error, psycopg.errors.InsufficientPrivilege),
        ) from error


def _hint(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "Let the role read every table: GRANT pg_read_all_data TO it (PostgreSQL 14 and newer), and BYPASSRLS."
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "A table is locked: see pg_locks for a migration or VACUUM FULL, then try again."
    if isinstance(error, psycopg.OperationalError):
        return "The server stopped or the network failed; look into the server's log, then try again."
    return "Look into the server's log."
