"""What is asked of a server before a base backup of it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from services.errors import Blocked, ConnectionFailed, InputError
from services.postgres.connection import Address, connect

_QUESTIONS = """
SELECT (SELECT rolname FROM pg_roles WHERE oid = 10),
       (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'),
       (SELECT coalesce(array_agg(spcname::text ORDER BY 1), '{}') FROM pg_tablespace
         WHERE spcname NOT IN ('pg_default', 'pg_global')),
       (SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint FROM pg_database
         WHERE has_database_privilege(oid, 'CONNECT')),
       current_setting('archive_mode'),
       (SELECT failed_count FROM pg_stat_archiver
         WHERE last_failed_time > coalesce(last_archived_time, '-infinity')),
       current_setting('summarize_wal', true),
       clock_timestamp()
"""


@dataclass(frozen=True)
class Source:
    """The server of which a base backup is taken."""

    version: str
    major: int
    superuser: str
    segment_bytes: int
    cluster_bytes: int
    """Of all its databases that we may see."""
    archives: bool
    """Whether it archives WAL by itself (``archive_mode``)."""
    summarize_wal: bool
    """Whether it takes incremental base backups (17 and newer)."""
    at: datetime
    """By its own clock."""


def ask_source(address: Address) -> Source:
    """Ask. Raise ConnectionFailed, InputError for a server of which no base backup can be streamed, Blocked."""
    try:
        with connect(address) as connection:
            row = connection.execute(_QUESTIONS).fetchone()
            version = (connection.info.parameter_status("server_version") or "unknown").split()[0]
            major = connection.info.server_version // 10000
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConnectionFailed(f"{address.label()} does not answer what a base backup needs: {reason}.") from error
    assert row is not None  # a SELECT without FROM has one row
    superuser, segment_bytes, tablespaces, cluster_bytes, archive_mode, failed, summarize, at = row
    if tablespaces:
        raise InputError(
            f"The server has tablespaces of its own ({', '.join(tablespaces[:5])}); its data folder cannot be streamed "
            "as one tar.",
            hint="Move what is in them to pg_default (ALTER TABLE … SET TABLESPACE) and drop them, or use pgBackRest.",
        )
    if failed and archive_mode != "off":
        raise Blocked(
            f"The server's archive_command is failing ({failed:,} times): it would wait for its log to be archived "
            "before it ends a base backup, which would hang.",
            hint="Mend archive_command first: the server's log says what it answered; see `backups pitr status`.",
        )
    return Source(version, major, superuser, segment_bytes, cluster_bytes, archive_mode != "off", summarize == "on", at)


def server_time(address: Address) -> datetime:
    """Return what time it is by the server's clock. Raise ConnectionFailed."""
    try:
        with connect(address) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
    except psycopg.Error as error:
        raise ConnectionFailed(f"{address.label()} does not say what time it is.") from error
    assert row is not None
    at: datetime = row[0]
    return at
