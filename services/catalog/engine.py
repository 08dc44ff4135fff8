"""Opening the catalogue's database: SQLite (WAL mode) or PostgreSQL, and bringing its tables up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from services.errors import ConnectionFailed, SettingsError

MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION = sa.table("alembic_version", sa.column("version_num", sa.String))
"""Alembic's own table, asked without Alembic."""
_MIGRATION_LOCK = 727_166_401  # any constant; the same for every process that migrates this catalogue


def open_engine(url: str) -> sa.Engine:
    """Given a SQLAlchemy URL, return an engine; SQLite's folder is made. Raise SettingsError for other engines,
    ConnectionFailed when it cannot be made."""
    parsed = sa.engine.make_url(url)
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            folder = Path(parsed.database).parent
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ConnectionFailed(
                    f"The catalogue's folder {folder} cannot be made: {error.strerror}.",
                    hint="Check CATALOG_URL, or make the folder for this user.",
                ) from error
        engine = sa.create_engine(parsed, connect_args={"timeout": 30})
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    if backend == "postgresql":
        return sa.create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "application_name": "backups-catalog"},
        )
    raise SettingsError(
        f"The catalogue cannot live in {backend!r}.",
        hint="Set CATALOG_URL to sqlite:////var/lib/backups/catalog.db or postgresql://user:password@host/backups.",
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # IMMEDIATE: a transaction that reads and then writes takes the write lock at once instead of failing half-way.
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("journal_mode=WAL", "busy_timeout=30000", "foreign_keys=ON", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def migrate(engine: sa.Engine) -> tuple[str | None, str]:
    """Bring the tables up to date and return the revision before and after. Safe for several processes at once."""
    # Imported here: Alembic costs a quarter of a second, which a command on an up-to-date catalogue need not pay.
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext

    with _connected(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        before = MigrationContext.configure(connection).get_current_revision()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        after = MigrationContext.configure(connection).get_current_revision()
        assert after is not None
        connection.commit()
        return before, after


@contextmanager
def savepoints(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a transaction in which ``begin_nested`` works, on SQLite too; it is committed when the block ends well.

    Python's sqlite3 would begin the transaction only after the first savepoint, and end it with that.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection


def current_revision(engine: sa.Engine) -> str | None:
    """Return the revision of the tables that are there; None for an empty database."""
    with _connected(engine) as connection:
        if not sa.inspect(connection).has_table(_VERSION.name):
            return None
        return connection.scalar(sa.select(_VERSION.c.version_num))


def head_revision() -> str:
    """Return the revision that this version needs: the number that the last migration's file begins with."""
    return max(path.name.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


@contextmanager
def _connected(engine: sa.Engine) -> Iterator[sa.Connection]:
    try:
        connection = engine.connect()
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
        raise ConnectionFailed(
            f"The catalogue at {engine.url.render_as_string(hide_password=True)} cannot be opened: {reason}.",
            hint="Check CATALOG_URL and that its folder or server is there.",
        ) from error
    with connection:
        yield connection
