"""What a server says of its write-ahead log: settings, slots, archiver, rights; and whether it lets replication in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from services.errors import ConnectionFailed
from services.pitr.wal_names import parse_lsn
from services.postgres.connection import Address, connect, connection_failed
from services.settings.secret_texts import mask_command

QUESTION_LIMIT = "10s"
CONNECT_SECONDS = 10
_SETTINGS = (
    "wal_level", "archive_mode", "archive_command", "archive_library", "archive_timeout", "max_wal_senders",
    "max_replication_slots", "max_slot_wal_keep_size", "idle_replication_slot_timeout", "wal_segment_size",
    "summarize_wal", "hba_file",
)  # fmt: skip
_FACTS = """
SELECT current_user, r.rolsuper, r.rolreplication, pg_catalog.pg_is_in_recovery(), pg_catalog.clock_timestamp(),
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn()
            ELSE pg_catalog.pg_current_wal_lsn() END::text,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL
            ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END,
       (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""
_SLOTS = """
SELECT slot_name::text, slot_type, active, restart_lsn::text, coalesce(wal_status, ''),
       CASE WHEN restart_lsn IS NOT NULL
            THEN pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()
                 THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn) END
FROM pg_catalog.pg_replication_slots ORDER BY 1
"""
_ARCHIVER = """
SELECT archived_count, last_archived_wal, last_archived_time, failed_count, last_failed_wal, last_failed_time
FROM pg_catalog.pg_stat_archiver
"""


@dataclass(frozen=True)
class Slot:
    """A replication slot. ``lag_bytes``: the log that it holds back; None for one that was never used."""

    name: str
    type: str
    active: bool
    restart_lsn: int | None
    wal_status: str
    lag_bytes: int | None


@dataclass(frozen=True)
class Archiver:
    """``pg_stat_archiver``: what the server believes to have archived."""

    archived_count: int
    last_archived_wal: str | None
    last_archived_at: datetime | None
    failed_count: int
    last_failed_wal: str | None
    last_failed_at: datetime | None

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt failed."""
        failed, done = self.last_failed_at, self.last_archived_at
        return failed is not None and (done is None or failed > done)


@dataclass(frozen=True)
class ServerFacts:
    """Everything that the status looks at."""

    user: str
    is_superuser: bool
    may_replicate: bool
    in_recovery: bool
    at: datetime
    """By the server's clock."""
    major: int
    system_identifier: str
    current_lsn: int | None
    """None on a standby that receives nothing."""
    settings: Mapping[str, str]
    """As ``SHOW`` says them; what this version has not is not in it."""
    pending_restart: frozenset[str]
    slots: tuple[Slot, ...]
    archiver: Archiver
    segment_bytes: int
    timeline: int

    def slot(self, name: str) -> Slot | None:
        return next((slot for slot in self.slots if slot.name == name), None)


def ask_server(address: Address) -> ServerFacts:
    """Ask a server. Raise ConnectionFailed, also when it does not answer a question within its limit."""
    try:
        with connect(address, connect_timeout=CONNECT_SECONDS) as connection:
            connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [QUESTION_LIMIT])
            row = connection.execute(_FACTS).fetchone()
            shown = connection.execute(
                "SELECT name, pg_catalog.current_setting(name), pending_restart FROM pg_catalog.pg_settings "
                "WHERE name = ANY(%s)",
                [list(_SETTINGS)],
            ).fetchall()
            slots = connection.execute(_SLOTS).fetchall()
            archiver = connection.execute(_ARCHIVER).fetchone()
            [size] = connection.execute(
                "SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'"
            ).fetchone() or (0,)
            major = connection.info.server_version // 10000
    except psycopg.Error as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConnectionFailed(f"{address.label()} does not answer what is asked of its log: {reason}.") from error
    assert row is not None, "current_user is a role"
    assert archiver is not None, "pg_stat_archiver has one row"
    return ServerFacts(
        user=row[0],
        is_superuser=row[1],
        may_replicate=row[1] or row[2],
        in_recovery=row[3],
        at=row[4],
        major=major,
        system_identifier=row[5],
        current_lsn=_lsn(row[6]),
        # shown in status and its JSON; what a command sets for its program may be a key
        settings={name: mask_command(value) if name == "archive_command" else value for name, value, _ in shown},
        pending_restart=frozenset(name for name, _, pending in shown if pending),
        slots=tuple(
            Slot(name, kind, active, _lsn(restart), status, None if lag is None else int(lag))
            for name, kind, active, restart, status, lag in slots
        ),
        archiver=Archiver(*archiver),
        segment_bytes=int(size),
        # right after a promotion the control file still names the old one
        timeline=int(row[7][:8], 16) if row[7] else int(row[8]),
    )


def replication_conninfo(address: Address) -> str:
    """Return what to connect with for the replication protocol."""
    return make_conninfo(
        **address.params,
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password.get_secret_value() if address.password is not None else None,
        dbname="replication",
        replication="true",
        application_name="backups",
        connect_timeout=CONNECT_SECONDS,
    )


def try_replication(address: Address) -> str | None:
    """Open a replication connection and close it; return why that fails, or None when the server lets us in.

    Only trying tells: which line of ``pg_hba.conf`` counts depends on where the server sees us come from.
    """
    connection = pq.PGconn.connect(replication_conninfo(address).encode())
    try:
        if connection.status == pq.ConnStatus.OK:
            return None
        said = connection.error_message.decode("utf-8", "replace")
    finally:
        connection.finish()
    if "pg_hba.conf" in said:  # no entry for it, or one that rejects it
        return "pg_hba.conf has no line that lets a replication connection of this role in from here"
    return connection_failed(address, said).message.rstrip(".")


def _lsn(text: str | None) -> int | None:
    return None if text is None else parse_lsn(text)
