"""The server and what goes on in it: can it be talked to, by what client, and who stands in a dump's way."""

from __future__ import annotations

import psycopg

from services.errors import ClientProgramMissing, ConnectionFailed
from services.installation import Installation
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Connection
from services.postgres.facts import DatabaseFacts
from services.postgres.snapshot import server_version_text
from services.preflight.model import SHOWN, Check, count, ok_unless
from services.units import format_duration

QUERY_SECONDS = 60
"""The longest that a question to the database may take."""


def limit_questions(connection: Connection) -> None:
    """Have the server give up a question after QUERY_SECONDS: one may wait for a lock on its catalogue."""
    connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [f"{QUERY_SECONDS}s"])


def connection_lost(error: ConnectionFailed | psycopg.Error) -> Check:
    """Given what ended the questions to the database, return the check that says so."""
    if isinstance(error, ConnectionFailed):
        return Check("connection", "blocking", error.message, error.hint, may_pass=error.may_pass)
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Check(
            "connection",
            "blocking",
            f"The server did not answer a question within {QUERY_SECONDS} s.",
            "Look at its load, and at pg_locks for who locks its catalogue.",
            may_pass=True,
        )
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return Check(
        "connection",
        "blocking",
        f"The server refused a question: {said}.",
        "Look into the server's log.",
        may_pass=isinstance(error, psycopg.OperationalError),
    )


def check_versions(installation: Installation, connection: Connection) -> Check:
    """Look for a pg_dump that is not older than the server."""
    try:
        client = choose_client(find_clients(installation.settings.pg_bin_dirs), connection.info.server_version // 10000)
    except ClientProgramMissing as error:
        return Check("versions", "blocking", error.message, error.hint)
    version = server_version_text(connection)
    return Check("versions", "ok", f"Server {version}, pg_dump {client.version} in {client.bin_dir}.")


def check_server(facts: DatabaseFacts) -> list[Check]:
    """Return the checks of sessions, locks and the server's part in replication."""
    return [_transactions(facts), _prepared(facts), _locks(facts), _standby(facts)]


def _transactions(facts: DatabaseFacts) -> Check:
    found = tuple(
        f"pid {t.pid}, user {t.user}, open for {format_duration(t.age)}, {t.state}: {t.query}"
        for t in facts.long_transactions
    )
    if found:
        return Check(
            "long transactions",
            "warning",
            f"{count(len(found), 'transaction')} open for more than 10 minutes.",
            "What they did is not in the backup until they commit. See what they do, or end one: "
            f"SELECT pg_terminate_backend({facts.long_transactions[0].pid})",
            found[:SHOWN],
        )
    if not facts.sees_all_sessions:
        return Check(
            "long transactions",
            "ok",
            f"None of {facts.user} is open for more than 10 minutes; sessions of others cannot be seen.",
            f"GRANT pg_read_all_stats TO {facts.user} to see them.",
        )
    return Check("long transactions", "ok", "No transaction is open for more than 10 minutes.")


def _prepared(facts: DatabaseFacts) -> Check:
    found = tuple(
        f"{t.gid}, owner {t.owner}, since {t.prepared_at:%Y-%m-%d %H:%M %Z}" for t in facts.prepared_transactions
    )
    return ok_unless(
        found,
        "prepared transactions",
        "There are no prepared transactions.",
        "warning",
        f"{count(len(found), 'transaction')} prepared and not ended.",
        "What they did is not in the backup, and they hold locks: COMMIT PREPARED or ROLLBACK PREPARED.",
    )


def _locks(facts: DatabaseFacts) -> Check:
    return ok_unless(
        facts.locked,
        "locks",
        "No table is locked against reading.",
        "warning",
        f"{count(len(facts.locked), 'table')} locked against reading; the backup waits for it, up to lock_timeout.",
        "Wait for the migration or VACUUM FULL that holds the lock.",
    )


def _standby(facts: DatabaseFacts) -> Check:
    return ok_unless(
        facts.in_recovery,
        "standby",
        "The server is a primary.",
        "warning",
        "The server is a standby: it may lag behind, and cancel a long dump in favour of its replay.",
        "Set hot_standby_feedback = on there, or max_standby_streaming_delay longer than a backup takes.",
    )
