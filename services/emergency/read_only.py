"""Read-only mode as the server knows it: ``ALTER DATABASE … SET default_transaction_read_only``, and who is connected.

The setting counts for sessions that begin after it. Those that were there before go on writing until they reconnect,
so they are ended or waited for. A session may set itself writable again: the mode stops applications, not people.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg
from psycopg import sql

from services.errors import BackupsError, InputError
from services.postgres.connection import Address, Connection, connect
from services.settings.model import DatabaseSettings

APPLICATION = "backups"
STATEMENT_SECONDS = 10
CONNECTION_SECONDS = 30.0
"""The longest that one visit to the server may take, whether it answers or not."""
_LOCK = 4_703_122_901_557_119
"""An advisory lock of the database, so that two who switch or release at once do it one after the other."""

_FACTS = """
SELECT current_user, pg_catalog.pg_is_in_recovery(),
       r.rolsuper OR pg_catalog.pg_has_role(d.datdba, 'USAGE'), r.rolsuper,
       pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'), pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'),
       extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text || ' ' || d.oid
FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
WHERE d.datname = pg_catalog.current_database() AND r.rolname = current_user
"""
IDENTITY = """
SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text || ' ' || d.oid
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""
"""What tells a database from any other of any other server, and needs no rights."""
_SETTING = """
SELECT pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database(),
     pg_catalog.unnest(s.setconfig) c
WHERE s.setrole = 0 AND c LIKE 'default\\_transaction\\_read\\_only=%'
"""
# A role's own setting, in this database or everywhere, counts for more than the database's.
_OVERRIDING = """
SELECT DISTINCT r.rolname
FROM pg_catalog.pg_db_role_setting s
JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, pg_catalog.unnest(s.setconfig) c
WHERE (s.setdatabase = 0 OR d.datname = pg_catalog.current_database())
  AND c LIKE 'default\\_transaction\\_read\\_only=%'
  AND NOT pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)::bool
ORDER BY 1
"""
# What we may not see of a session of somebody else is null, but for its number and whose it is: when it began is seen
# by members of pg_read_all_stats only. Of the others those count that were there when the mode was switched on.
_SESSIONS = """
SELECT a.pid, a.usename, coalesce(a.application_name, ''), coalesce(a.state, ''), a.backend_xid IS NOT NULL,
       coalesce(r.rolsuper, false), pg_catalog.pg_has_role(a.usesysid, 'MEMBER')
FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid() AND a.usename IS NOT NULL
  AND (a.backend_type = 'client backend' OR a.backend_type IS NULL)
  AND NOT (a.usename = ANY (%(we)s) AND a.application_name = %(ours)s)
  AND (%(before)s::timestamptz IS NULL OR a.backend_start <= %(before)s
       OR a.backend_start IS NULL AND a.pid = ANY (%(seen)s))
ORDER BY a.pid
"""


# What goes on writing whoever is connected: it belongs to no client, and does not heed the setting.
_BEYOND = """
SELECT DISTINCT a.backend_type FROM pg_catalog.pg_stat_activity a
WHERE a.datname = pg_catalog.current_database() AND a.backend_type NOT IN
      ('client backend', 'autovacuum worker', 'parallel worker', 'walsender')
UNION SELECT 'subscription ' || s.subname FROM pg_catalog.pg_subscription s
JOIN pg_catalog.pg_database d ON d.oid = s.subdbid AND d.datname = pg_catalog.current_database() WHERE s.subenabled
UNION SELECT 'prepared transaction ' || p.gid FROM pg_catalog.pg_prepared_xacts p
WHERE p.database = pg_catalog.current_database()
ORDER BY 1
"""


@dataclass(frozen=True)
class Since:
    """When the mode began to hold: who was there before can still write."""

    at: datetime
    """The server's time."""
    seen: frozenset[int] = frozenset()
    """The server processes that were there right then; they count where we may not see when a session began."""


@dataclass(frozen=True)
class Session:
    """A client's session in the database, which may write."""

    pid: int
    user: str
    application: str
    state: str
    """``active``, ``idle``, ``idle in transaction``; empty where we may not see it."""
    is_writing: bool
    """Whether its transaction has written already (as far as we may see)."""
    may_end: bool
    """Whether our role may end it."""


@dataclass(frozen=True)
class ReadOnlyFacts:
    """What matters before a database is switched to read-only mode."""

    user: str
    setting: str | None
    """What ``default_transaction_read_only`` is set to for the database; None: nothing is."""
    is_read_only: bool
    """Whether that is read-only already."""
    may_switch: bool
    """Whether we are the database's owner or superuser."""
    is_standby: bool
    overriding: tuple[str, ...]
    """Roles whose own setting leaves them writable."""
    beyond: tuple[str, ...]
    """What may go on writing though it is no client's session: background workers, subscriptions, …"""
    sees_all: bool
    """Whether we may see when each session began."""
    identity: str
    """What tells the database from any other one of any other server."""
    sessions: tuple[Session, ...]


@contextmanager
def visit(database: DatabaseSettings) -> Iterator[Connection]:
    """Connect to the database, as its owner where one is set, for a few short questions.

    Raise ConnectionFailed, BackupsError for what it refuses. However the server behaves, that is over after
    CONNECTION_SECONDS: then its socket is shut.
    """
    address = Address.parse((database.owner_url or database.url).get_secret_value())
    with connect(address, application_name=APPLICATION) as connection, _cut_off(connection):
        try:
            for name in ("statement_timeout", "lock_timeout"):
                connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", [name, f"{STATEMENT_SECONDS}s"])
            yield connection
        except psycopg.Error as error:
            said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise BackupsError(
                f"The server of {database.name} refused, or the connection to it was lost: {said}",
                hint="Look at the server and its log.",
            ) from error


@contextmanager
def _cut_off(connection: Connection) -> Iterator[None]:
    def cut() -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as peer:
            peer.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(CONNECTION_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_facts(connection: Connection, database: DatabaseSettings) -> ReadOnlyFacts:
    """Return what matters before the switch."""
    row = connection.execute(_FACTS).fetchone()
    assert row is not None  # one row: the database that we are connected to
    user, is_standby, may_switch = row[:3]
    setting = _setting(connection)
    return ReadOnlyFacts(
        user=user,
        setting=setting,
        is_read_only=_is_on(connection, setting),
        may_switch=may_switch,
        is_standby=is_standby,
        overriding=tuple(name for (name,) in connection.execute(_OVERRIDING)),
        beyond=tuple(name for (name,) in connection.execute(_BEYOND)),
        sees_all=row[3] or row[5],
        identity=row[6],
        sessions=tuple(find_sessions(connection, database)),
    )


def shortcomings(facts: ReadOnlyFacts) -> Iterator[tuple[str, str]]:
    """Yield what read-only mode would not reach, each with what can be done about it."""
    if facts.overriding:
        yield (
            f"Roles whose own setting lets them write all the same: {', '.join(facts.overriding)}.",
            "ALTER ROLE … RESET default_transaction_read_only, or stop what uses them.",
        )
    if facts.beyond:
        yield (
            f"What is no client's session may go on writing: {', '.join(facts.beyond)}.",
            "Stop it for as long, where it writes: ALTER SUBSCRIPTION … DISABLE, ROLLBACK PREPARED.",
        )
    if not facts.sees_all and not facts.is_standby:
        yield (
            f"{facts.user} cannot see when sessions began, and goes by who is there when the mode is switched on.",
            f"GRANT pg_read_all_stats TO {facts.user}.",
        )


def switch_on(connection: Connection, previous: str | None) -> None:
    """Have new sessions begin read-only.

    ``previous``: what was written down to be restored. Raise InputError when it is not that any more.
    """
    with _writing(connection):
        if _setting(connection) != previous:
            raise InputError(
                "Somebody else has just changed default_transaction_read_only of the database.",
                hint="Look at the plan again.",
            )
        _set(connection, "on")


def since_now(connection: Connection, database: DatabaseSettings) -> Since:
    """Return the server's time, and who is there: sessions that begin later see what is set now."""
    row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    assert row is not None
    return Since(row[0], frozenset(session.pid for session in find_sessions(connection, database)))


def restore_setting(connection: Connection, previous: str | None, is_ours: Callable[[], bool] = lambda: True) -> bool:
    """Put back what was set before; return False when there was nothing to do: done already, or set otherwise since.

    ``is_ours`` is asked under the lock that whoever switches the database holds.
    """
    with _writing(connection):
        if not is_ours():
            return False
        now = _setting(connection)
        if now == previous or not _is_on(connection, now):
            return False
        _set(connection, previous)
        return True


def find_sessions(connection: Connection, database: DatabaseSettings, *, before: Since | None = None) -> list[Session]:
    """Return the sessions of other clients in this database: all, or those that began until ``before``. Not ours."""
    at, seen = (before.at, sorted(before.seen)) if before else (None, [])
    we = [Address.parse(url.get_secret_value()).user for url in (database.url, database.owner_url) if url]
    row = connection.execute(_FACTS).fetchone()
    assert row is not None
    is_super, signals = row[3], row[4]
    return [
        Session(pid, user, application, state, writes, is_super or member or (signals and not of_superuser))
        for pid, user, application, state, writes, of_superuser, member in connection.execute(
            _SESSIONS, {"we": we, "ours": APPLICATION, "before": at, "seen": seen}
        )
    ]


def end_sessions(connection: Connection, sessions: Sequence[Session]) -> list[Session]:
    """Tell the server to end sessions; return those that we may not end. They are gone a moment later."""
    refused = []
    for session in sessions:
        try:
            connection.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [session.pid])
        except psycopg.errors.InsufficientPrivilege:
            refused.append(replace(session, may_end=False))
    return refused


def _setting(connection: Connection) -> str | None:
    row = connection.execute(_SETTING).fetchone()
    return None if row is None else str(row[0])


def _is_on(connection: Connection, setting: str | None) -> bool:
    if setting is None:
        return False
    row = connection.execute("SELECT %s::bool", [setting]).fetchone()  # the server reads what it wrote
    return row is not None and bool(row[0])


def _set(connection: Connection, value: str | None) -> None:
    name = sql.Identifier(connection.info.dbname)
    what: sql.Composable = sql.SQL("RESET default_transaction_read_only")
    if value is not None:
        what = sql.SQL("SET default_transaction_read_only = {}").format(sql.Literal(value))
    connection.execute(sql.SQL("ALTER DATABASE {} {}").format(name, what))


@contextmanager
def _writing(connection: Connection) -> Iterator[None]:
    """A transaction that may write although its session began read-only: ALTER DATABASE is refused otherwise.

    No startup option, which a pooler in between may refuse.
    """
    connection.execute("BEGIN READ WRITE")
    try:
        connection.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s)", [_LOCK])
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
        raise
