"""Databases of ours that last as long as a run: made, registered as a leftover, and dropped whatever happens.

Their names hold the run's id, so that after a crash the run says which of them nobody needs any more, and the attempt,
so that an attempt that was taken for dead and wakes up late never drops what the next one uses. A database of a run
that this catalogue does not know belongs to another installation, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from services.catalog.catalog import Catalog
from services.errors import BackupsError, ConnectionFailed, StorageFull, UnknownName
from services.installation import Installation
from services.jobs.context import RunContext
from services.postgres.connection import Address, Connection, connect
from services.restores.database_locale import DatabaseLocale
from services.restores.scratch_server import embedded_server, in_use

TEST_PREFIX = "restore_test_"
RESTORE_PREFIX = "restoring_"
"""A real restore works in a database of this name, and renames it when all of it is there."""


def scratch_name(run: RunContext, prefix: str = TEST_PREFIX) -> str:
    """Return the name of an attempt's own database: ``restore_test_RUN_ATTEMPT``."""
    return f"{prefix}{run.run_id}_{run.attempt}"


@contextmanager
def own_database(
    server: Address, name: str, locale: DatabaseLocale, run: RunContext, *, registered_server: str
) -> Iterator[tuple[Address, list[str]]]:
    """Make an empty database and yield its address, with notes on what differs from the source's; drop it at the end.

    Those of the run's earlier attempts are dropped first; a database that was renamed meanwhile is kept. Raise
    BackupsError without the right to create databases, StorageFull, ConnectionFailed.
    """
    with run.leftover("scratch database", name=name, server=registered_server):
        try:
            with connect(server) as connection:
                for earlier in range(1, run.attempt):
                    _drop_old(connection, server, f"{name.removesuffix(str(run.attempt))}{earlier}")
                notes = _create(connection, name, locale)
            yield server.with_database(name), notes
        finally:
            _drop_or_say(server, name, run)


def drop_leftover_scratch_databases(installation: Installation) -> list[str]:
    """Drop the databases of runs that are over, on the restore test server, the embedded one, and the sources' servers.

    Return ``server/name`` of each that was dropped. A server that cannot be reached is passed over: the janitor comes
    again. Raise BackupsError when a server refuses to drop one.
    """
    settings = installation.settings
    urls = [settings.restore_test_url] if settings.restore_test_url else []
    dropped: list[str] = []
    for url in (*urls, *(d.url for d in settings.databases)):
        dropped += _drop_leftovers(Address.parse(url.get_secret_value()), installation.catalog)
    embedded = embedded_server(settings.home)
    if (embedded.data_dir / "PG_VERSION").exists():
        with in_use(embedded) as address:
            dropped += _drop_leftovers(address, installation.catalog)
    return list(dict.fromkeys(dropped))


def _drop_leftovers(server: Address, catalog: Catalog) -> list[str]:
    try:
        connection = connect(server)
    except ConnectionFailed:
        return []
    with connection:
        gone = [name for name in _ours(connection, server) if _is_over(name, catalog)]
        for name in gone:
            _drop_old(connection, server, name)
    return [f"{server.host}:{server.port}/{name}" for name in gone]


def _ours(connection: Connection, server: Address) -> list[str]:
    """Return the databases that are called as ours are. Raise BackupsError when the server does not say."""
    try:
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) OR starts_with(datname, %s)",
            (TEST_PREFIX, RESTORE_PREFIX),
        ).fetchall()
    except psycopg.Error as error:
        raise ConnectionFailed(
            f"The leftover databases on {server.label()} cannot be listed: {_reason(error)}.",
            hint="Check that the server runs, and that the role of the URL may read pg_database.",
        ) from error
    return [row[0] for row in found]


def _is_over(name: str, catalog: Catalog) -> bool:
    """Say whether the database belongs to a run of ours that has ended, or to an earlier attempt of one."""
    run_id, _, attempt = name.removeprefix(TEST_PREFIX).removeprefix(RESTORE_PREFIX).partition("_")
    try:
        run = catalog.runs.get(run_id)
    except UnknownName:
        return False
    earlier = attempt.isdecimal() and (int(attempt) < run.attempt or run.state == "queued")
    return not run.is_active or earlier


def _create(connection: Connection, name: str, locale: DatabaseLocale) -> list[str]:
    """Create a database like the source's. Where the server lacks the source's locale, its own is taken, and said."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name))
    try:
        for options, note in locale.choices(connection.info.server_version // 10000):
            try:
                connection.execute(statement + options)
                return [note] if note else []
            except (psycopg.errors.InvalidParameterValue, psycopg.errors.WrongObjectType) as error:
                unfit: psycopg.Error = error
            except psycopg.errors.FeatureNotSupported as error:
                unfit = error
        raise unfit
    except psycopg.Error as error:
        what = f"{connection.info.user} cannot create a database on {connection.info.host}"
        raise _refused(error, what) from error


def _drop(connection: Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _drop_old(connection: Connection, server: Address, name: str) -> None:
    """Drop a database that an earlier attempt or run left. Raise BackupsError when the server refuses."""
    try:
        _drop(connection, name)
    except psycopg.Error as error:
        raise _refused(error, f"The leftover database {name} on {server.label()} cannot be dropped") from error


def _drop_or_say(server: Address, name: str, run: RunContext) -> None:
    """Drop a database of ours; where that fails, log it: the failure that led here must not be hidden."""
    try:
        with connect(server) as connection:
            _drop(connection, name)
    except (ConnectionFailed, psycopg.Error) as error:
        run.log(f"The database {name} could not be dropped: {error} The janitor will try again.", "warning")


def _refused(error: psycopg.Error, what: str) -> BackupsError:
    reason = _reason(error)
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        hint = (
            "The role needs CREATEDB: ALTER ROLE … CREATEDB, and NOCREATEDB again afterwards. `backups restore` can "
            "also go to the server of restore tests: --server restore-test."
        )
        return BackupsError(f"{what}: {reason}.", hint=hint, may_pass=False)
    if isinstance(error, psycopg.errors.DiskFull):
        return StorageFull(f"{what}: {reason}.", hint="Make room on the server's disk.")
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return ConnectionFailed(f"{what}: {reason}.", hint="Check that the server runs.")
    return BackupsError(f"{what}: {reason}.")


def _reason(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
