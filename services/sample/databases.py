"""The sample's databases, built in SQL. A database appears under its name only when it is whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib.resources import files

from psycopg import sql
from pydantic import SecretStr

from services.postgres.connection import Address, Connection, connect

BACKUP_ROLE = "backups_reader"
"""Reads everything, changes nothing: what a backup needs, and no more. It sees other sessions, for the pre-checks."""

SCRIPTS: dict[str, tuple[str, ...]] = {"la_factoria": ("prose.sql", "la_factoria.sql"), "billing": ("billing.sql",)}
"""Database -> its scripts in ``services/sample/sql``, in order."""

_BUILD_SETTINGS = {
    "TimeZone": "UTC",
    "work_mem": "64MB",
    "maintenance_work_mem": "128MB",
    "synchronous_commit": "off",
    "client_min_messages": "warning",
}


def build_databases(server: Address, today: date, password: SecretStr) -> None:
    """Given a superuser's address, make the backup role and every database that is not there yet.

    A database that a killed process left half-built is dropped and built anew. ``today`` is the day that the newest
    rows are of.
    """
    with connect(server) as connection:
        _ensure_backup_role(connection, password)
        missing = []
        for name in SCRIPTS:
            _ensure_owner(connection, _owner(name))
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                missing.append(name)
    with ThreadPoolExecutor(max_workers=2) as pool:
        for built in [pool.submit(_build, server, name, today) for name in missing]:
            built.result()


def do_a_days_work(server: Address) -> None:
    """Change la_factoria as a day of its users would, so that its next backup differs from its last."""
    with connect(server.with_database("la_factoria")) as connection:
        connection.execute(_script("day_of_work.sql"))


def _build(server: Address, name: str, today: date) -> None:
    building = sql.Identifier(f"{name}_building")
    with connect(server) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(building))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(building, sql.Identifier(_owner(name))))
    with connect(server.with_database(f"{name}_building")) as connection:
        for setting, value in {**_BUILD_SETTINGS, "sample.today": today.isoformat()}.items():
            connection.execute("SELECT set_config(%s, %s, false)", [setting, value])
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(_owner(name))))
        for script in SCRIPTS[name]:
            connection.execute(_script(script))
        connection.execute("RESET ROLE")
        connection.execute("ANALYZE")
    with connect(server) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(building, sql.Identifier(name)))


def _ensure_backup_role(connection: Connection, password: SecretStr) -> None:
    role = sql.Identifier(BACKUP_ROLE)
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [BACKUP_ROLE]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN IN ROLE pg_read_all_data, pg_read_all_stats").format(role))
    # The server gets the SCRAM verifier only, so that no log can hold the password.
    verifier = connection.pgconn.encrypt_password(
        password.get_secret_value().encode(), BACKUP_ROLE.encode(), b"scram-sha-256"
    ).decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, sql.Literal(verifier)))


def _ensure_owner(connection: Connection, owner: str) -> None:
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [owner]).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(owner)))


def _owner(name: str) -> str:
    return f"{name}_app"


def _script(name: str) -> sql.SQL:
    # The scripts are our own files; nothing is filled in.
    return sql.SQL((files("services.sample") / "sql" / name).read_text(encoding="utf-8"))
