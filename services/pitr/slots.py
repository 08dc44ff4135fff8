"""The receiver's replication slot: made, advanced, looked at.

Nobody streams through it. It is moved on by us, once a segment is in the storage: what pg_receivewal has on the
worker's disk is not safe yet, and a worker's disk may be gone with its container. So the server keeps its log until it
is stored, whatever happens to the worker.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from services.errors import ConnectionFailed
from services.pitr.wal_names import format_lsn, parse_lsn
from services.postgres.connection import Address, Connection, connect

STATEMENT_LIMIT = "10s"


@dataclass(frozen=True)
class SlotState:
    """Where a slot stands, and what it belongs to."""

    restart_lsn: int
    made: bool
    """It was made now: what the server removed before is not to be had any more."""
    system_identifier: str
    timeline: int
    """The server's."""
    segment_bytes: int
    server_major: int


def ensure_slot(address: Address, name: str) -> SlotState:
    """Return the slot, made if it is not there or lost. Raise ConnectionFailed with what the server says."""
    try:
        with connect(address) as connection:
            _limit(connection)
            row = connection.execute(
                "SELECT restart_lsn::text, coalesce(wal_status, '') FROM pg_catalog.pg_replication_slots "
                "WHERE slot_name = %s",
                [name],
            ).fetchone()
            made = row is None or row[0] is None or row[1] == "lost"
            if made:
                if row is not None:
                    connection.execute("SELECT pg_catalog.pg_drop_replication_slot(%s)", [name])
                row = connection.execute(
                    "SELECT lsn::text FROM pg_catalog.pg_create_physical_replication_slot(%s, true)", [name]
                ).fetchone()
            server = connection.execute(
                "SELECT (SELECT system_identifier::text FROM pg_catalog.pg_control_system()), "
                "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()), "
                "(SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size')"
            ).fetchone()
            major = connection.info.server_version // 10000
    except psycopg.Error as error:
        raise _said(address, name, error) from error
    assert row is not None, "the slot was there, or was made"
    assert server is not None, "it has no FROM"
    return SlotState(parse_lsn(row[0]), made, server[0], int(server[1]), int(server[2]), major)


def advance_slot(address: Address, name: str, lsn: int) -> None:
    """Let the server remove its log before ``lsn``. Does nothing when the slot is there already.

    Raise ConnectionFailed.
    """
    try:
        with connect(address) as connection:
            _limit(connection)
            connection.execute(
                "SELECT pg_catalog.pg_replication_slot_advance(slot_name, %s::pg_lsn) "
                "FROM pg_catalog.pg_replication_slots WHERE slot_name = %s AND restart_lsn < %s::pg_lsn",
                [format_lsn(lsn), name, format_lsn(lsn)],
            )
    except psycopg.Error as error:
        raise _said(address, name, error) from error


def current_lsn(address: Address) -> int:
    """Return the position up to which the server has written. Raise ConnectionFailed."""
    try:
        with connect(address) as connection:
            _limit(connection)
            row = connection.execute(
                "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() "
                "ELSE pg_catalog.pg_current_wal_lsn() END::text"
            ).fetchone()
    except psycopg.Error as error:
        raise ConnectionFailed(f"{address.label()} does not say how far its log has come.") from error
    return parse_lsn(row[0]) if row is not None and row[0] is not None else 0


def _limit(connection: Connection) -> None:
    connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [STATEMENT_LIMIT])


def _said(address: Address, name: str, error: psycopg.Error) -> ConnectionFailed:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return ConnectionFailed(
        f"The slot {name} on {address.label()} cannot be used: {reason}.", hint="See `backups pitr status`."
    )
