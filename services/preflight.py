"""The checks before a backup: what the runbook has a person look at, each with a severity and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

import psycopg

from services.catalog.model import Backup
from services.catalog.summaries import storage_use
from services.errors import ClientProgramMissing, ConnectionFailed, NothingMatches, StorageError
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, Connection, connect
from services.postgres.facts import DatabaseFacts, read_facts
from services.postgres.patterns import match_tables
from services.postgres.snapshot import server_version_text
from services.settings.model import DatabaseSettings, StorageSettings
from services.units import format_bytes, format_duration

Severity = Literal["ok", "warning", "blocking"]

HISTORY = 10
"""So many of the latest comparable backups make an expectation."""
TIGHT = 2.0
"""Less room than this many expected backups is a warning."""
WORKING_BYTES = 100_000_000
"""What the catalogue and the log of a run may need; the backup itself is streamed past the disk."""
SHOWN = 20
QUERY_SECONDS = 60
"""The longest that a question to the database may take."""


@dataclass(frozen=True)
class Check:
    """One check. ``detail`` has a line for each thing found."""

    name: str
    severity: Severity
    message: str
    hint: str = ""
    detail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preflight:
    """All checks, and what is expected of the backup. Sizes are bytes; None where nobody knows."""

    checks: tuple[Check, ...]
    database_bytes: int | None = None
    expected_bytes: int | None = None
    """As it will be stored."""
    expected_plain_bytes: int | None = None
    """Before compression: what pg_dump will write."""
    expected_seconds: float | None = None

    @property
    def blocking(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.severity == "blocking")


def preflight(
    installation: Installation,
    database: DatabaseSettings,
    *,
    exclude_tables: Sequence[str] = (),
    storages: Sequence[str] | None = None,
    run: RunContext | None = None,
) -> Preflight:
    """Check a database and where its backup is going to be stored; ``storages`` None: those of the database.

    Whatever is wrong with the server, the database or a storage is a check; only unknown names raise (UnknownName),
    and, with a ``run``, what it raises when it has to stop meanwhile.
    """
    settings = installation.settings
    targets = settings.storages_of(database) if storages is None else [settings.storage(name) for name in storages]
    patterns = tuple(dict.fromkeys((*database.exclude_tables, *exclude_tables)))
    checks: list[Check] = []
    expected = Preflight(())
    try:
        address = Address.parse(database.url.get_secret_value())
        with connect(address) as connection, run.on_cancel(connection.cancel_safe) if run else nullcontext():
            connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [f"{QUERY_SECONDS}s"])
            checks.append(Check("connection", "ok", f"Connected to {address.label()}."))
            version = connection.info.server_version // 10000
            checks.append(_check_versions(installation, version, server_version_text(connection)))
            excluded, check = _check_patterns(connection, patterns)
            checks.append(check)
            facts = read_facts(connection, excluded)
        expected = _expectation(installation, database, facts.database_bytes, patterns)
        checks += [_check_size(expected), *_check_facts(facts)]
    except (ConnectionFailed, psycopg.Error) as error:
        if run is not None:
            run.check_cancelled()
        checks.append(_connection_lost(error))
    checks += [_check_storage(installation, target, expected) for target in targets[:1]]
    checks += [_of_copy(_check_storage(installation, target, expected)) for target in targets[1:]]
    checks.append(_check_working_folder(installation))
    return Preflight(
        tuple(checks),
        database_bytes=expected.database_bytes,
        expected_bytes=expected.expected_bytes,
        expected_plain_bytes=expected.expected_plain_bytes,
        expected_seconds=expected.expected_seconds,
    )


def _connection_lost(error: ConnectionFailed | psycopg.Error) -> Check:
    if isinstance(error, ConnectionFailed):
        return Check("connection", "blocking", error.message, error.hint)
    if isinstance(error, psycopg.errors.QueryCanceled):
        return Check(
            "connection",
            "blocking",
            f"The server did not answer a question within {QUERY_SECONDS} s.",
            "Look at its load, and at pg_locks for who locks its catalogue.",
        )
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return Check("connection", "blocking", f"The server refused a question: {said}.", "Look into the server's log.")


def _check_versions(installation: Installation, server_major: int, server_version: str) -> Check:
    try:
        client = choose_client(find_clients(installation.settings.pg_bin_dirs), server_major)
    except ClientProgramMissing as error:
        return Check("versions", "blocking", error.message, error.hint)
    return Check("versions", "ok", f"Server {server_version}, pg_dump {client.version} in {client.bin_dir}.")


def _check_patterns(connection: Connection, patterns: Sequence[str]) -> tuple[list[tuple[str, str]], Check]:
    if not patterns:
        return [], Check("excluded tables", "ok", "Every table is backed up.")
    try:
        excluded = match_tables(connection, patterns)
    except NothingMatches as error:
        return [], Check("excluded tables", "blocking", error.message, error.hint)
    names = tuple(f"{schema}.{name}" for schema, name in excluded)
    return excluded, Check(
        "excluded tables",
        "warning",
        f"The backup will be partial: {_count(len(excluded), 'table')} left out.",
        "A partial backup never counts as a good one.",
        names[:SHOWN],
    )


def _expectation(
    installation: Installation, database: DatabaseSettings, database_bytes: int, patterns: Sequence[str]
) -> Preflight:
    """Scale the latest backups with the same exclusions to the database's size of now."""
    history: list[Backup] = [
        backup
        for backup in installation.catalog.backups.list(database=database.name, limit=5 * HISTORY)
        if set(backup.excluded) == set(patterns) and backup.database_bytes > 0
    ][:HISTORY]
    if not history:
        return Preflight((), database_bytes=database_bytes)

    def scaled(figures: list[float]) -> float:
        return median(figures) * database_bytes

    return Preflight(
        (),
        database_bytes=database_bytes,
        expected_bytes=round(scaled([b.stored_bytes / b.database_bytes for b in history])),
        expected_plain_bytes=round(scaled([b.plain_bytes / b.database_bytes for b in history])),
        expected_seconds=round(scaled([b.duration.total_seconds() / b.database_bytes for b in history]), 1),
    )


def _check_size(expected: Preflight) -> Check:
    assert expected.database_bytes is not None, "the database was read"
    message = f"The database has {format_bytes(expected.database_bytes)}"
    if expected.expected_bytes is None or expected.expected_seconds is None:
        return Check("size", "ok", f"{message}; there is no earlier backup to estimate this one from.")
    about = f"{format_bytes(expected.expected_bytes)} in {format_duration(expected.expected_seconds)}"
    return Check("size", "ok", f"{message}; the backup should take about {about}.")


def _check_facts(facts: DatabaseFacts) -> list[Check]:
    return [
        _check_transactions(facts),
        _check_prepared(facts),
        _check_locks(facts),
        _check_rights(facts),
        _check_role(facts),
        _check_standby(facts),
        _check_row_security(facts),
        _note("extensions", facts.extensions, "extension", "The server of a restore needs them too."),
        _note("unlogged tables", facts.unlogged, "unlogged table", "The server empties them after a crash."),
        _check_large_objects(facts),
    ]


def _check_transactions(facts: DatabaseFacts) -> Check:
    found = tuple(
        f"pid {t.pid}, user {t.user}, open for {format_duration(t.age)}, {t.state}: {t.query}"
        for t in facts.long_transactions
    )
    if found:
        return Check(
            "long transactions",
            "warning",
            f"{_count(len(found), 'transaction')} open for more than 10 minutes.",
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


def _check_prepared(facts: DatabaseFacts) -> Check:
    if not facts.prepared_transactions:
        return Check("prepared transactions", "ok", "There are no prepared transactions.")
    found = tuple(
        f"{t.gid}, owner {t.owner}, since {t.prepared_at:%Y-%m-%d %H:%M %Z}" for t in facts.prepared_transactions
    )
    return Check(
        "prepared transactions",
        "warning",
        f"{_count(len(found), 'transaction')} prepared and not ended.",
        "What they did is not in the backup, and they hold locks: COMMIT PREPARED or ROLLBACK PREPARED.",
        found[:SHOWN],
    )


def _check_locks(facts: DatabaseFacts) -> Check:
    if not facts.locked:
        return Check("locks", "ok", "No table is locked against reading.")
    return Check(
        "locks",
        "warning",
        f"{_count(len(facts.locked), 'table')} locked against reading; the backup waits for it, up to lock_timeout.",
        "Wait for the migration or VACUUM FULL that holds the lock.",
        facts.locked[:SHOWN],
    )


def _check_rights(facts: DatabaseFacts) -> Check:
    if not facts.unreadable:
        return Check("rights", "ok", f"{facts.user} can read every table.")
    return Check(
        "rights",
        "blocking",
        f"{facts.user} cannot read {_count(len(facts.unreadable), 'table or sequence', 'tables and sequences')}.",
        f"GRANT pg_read_all_data TO {facts.user} (PostgreSQL 14 and newer), or GRANT USAGE ON SCHEMA and SELECT.",
        facts.unreadable[:SHOWN],
    )


def _check_role(facts: DatabaseFacts) -> Check:
    if not facts.is_superuser:
        return Check("role", "ok", f"{facts.user} is no superuser.")
    return Check(
        "role",
        "warning",
        f"{facts.user} is a superuser, which a backup does not need.",
        "Use a role with LOGIN, BYPASSRLS and pg_read_all_data.",
    )


def _check_standby(facts: DatabaseFacts) -> Check:
    if not facts.in_recovery:
        return Check("standby", "ok", "The server is a primary.")
    return Check(
        "standby",
        "warning",
        "The server is a standby: it may lag behind, and cancel a long dump in favour of its replay.",
        "Set hot_standby_feedback = on there, or max_standby_streaming_delay longer than a backup takes.",
    )


def _check_row_security(facts: DatabaseFacts) -> Check:
    if not facts.row_security:
        return Check("row security", "ok", f"No row is hidden from {facts.user} by row-level security.")
    return Check(
        "row security",
        "blocking",
        f"Row-level security would hide rows of {_count(len(facts.row_security), 'table')} from {facts.user}.",
        f"ALTER ROLE {facts.user} BYPASSRLS.",
        facts.row_security[:SHOWN],
    )


def _check_large_objects(facts: DatabaseFacts) -> Check:
    if facts.unreadable_large_objects and not facts.is_superuser:
        return Check(
            "large objects",
            "blocking",
            f"{facts.user} cannot read {facts.unreadable_large_objects} of {facts.large_objects} large objects.",
            "GRANT SELECT ON LARGE OBJECT to the role, or back up as their owner.",
        )
    if facts.large_objects:
        return Check("large objects", "ok", f"{_count(facts.large_objects, 'large object')} will be in the backup.")
    return Check("large objects", "ok", "There are none.")


def _note(name: str, found: tuple[str, ...], noun: str, remark: str) -> Check:
    if not found:
        return Check(name, "ok", "There are none.")
    return Check(
        name,
        "ok",
        f"{_count(len(found), noun)}: {', '.join(found[:5])}{' …' if len(found) > 5 else ''}. {remark}",
        detail=found[:SHOWN],
    )


def _check_storage(installation: Installation, target: StorageSettings, expected: Preflight) -> Check:
    """Compare the room in a storage with the expected backup, or with the database where there is no history."""
    name = f"storage {target.name}"
    try:
        free = installation.storage(target.name).free_bytes()
    except StorageError as error:
        return Check(name, "blocking", error.message, error.hint)
    rooms = [] if free is None else [(free, "free on the disk")]
    if target.limit_bytes is not None:
        rooms.append((max(0, target.limit_bytes - _used(installation, target.name)), "left of limit_bytes"))
    if not rooms:
        return Check(name, "ok", f"{target.url} has no limit.")
    room, words = min(rooms)
    need = expected.expected_bytes if expected.expected_bytes is not None else expected.database_bytes
    message = f"{format_bytes(room)} {words}"
    if need is None:
        return Check(name, "ok" if room > 0 else "blocking", f"{message}.")
    message += f", about {format_bytes(need)} needed."
    hint = "Make room, raise limit_bytes, or use a larger storage."
    if room < need:
        return Check(name, "blocking", message, hint)
    return Check(name, "warning", message, hint) if room < TIGHT * need else Check(name, "ok", message)


def _of_copy(check: Check) -> Check:
    """Return the check of a storage of further copies: they are made afterwards, and tried again until they are."""
    if check.severity != "blocking":
        return check
    return replace(check, severity="warning", message=f"The further copy cannot be made now: {check.message}")


def _used(installation: Installation, storage: str) -> int:
    """Return the bytes that the catalogue knows in a storage."""
    use = storage_use(installation.catalog.engine).get(storage)
    return use.bytes if use else 0


def _check_working_folder(installation: Installation) -> Check:
    home = installation.settings.home
    try:
        free = shutil.disk_usage(home).free
    except OSError as error:
        return Check("working folder", "blocking", f"{home} cannot be used: {error.strerror}.", "Check BACKUPS_HOME.")
    message = f"{format_bytes(free)} free in {home}."
    if free < WORKING_BYTES:
        return Check("working folder", "blocking", message, f"Free at least {format_bytes(WORKING_BYTES)}.")
    if free < 10 * WORKING_BYTES:
        return Check("working folder", "warning", message, "Free some space: restore tests work here.")
    return Check("working folder", "ok", message)


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"
