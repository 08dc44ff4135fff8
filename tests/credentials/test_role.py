"""The role that backs up: what it may beside reading is named, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from pydantic import SecretStr

from services.credentials.role import check_role
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer
from services.settings.model import DatabaseSettings
from tests.support.servers import NewDatabase

ROLE = "careful_backup"


@pytest.fixture
def role(server15: LocalServer, database: NewDatabase) -> Iterator[Address]:
    """A role as docs/credentials.md makes it, in a database with a table that it does not own."""
    address = database(server15, "CREATE TABLE orders (id int);")
    with connect(address) as connection:
        connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'planted-role-password' BYPASSRLS")
        connection.execute(f"GRANT pg_read_all_data TO {ROLE}")
    yield address
    with connect(address) as connection:
        connection.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def said(address: Address, *statements: str, as_role: bool = True) -> tuple[str, str]:
    with connect(address) as connection:
        for statement in statements:
            connection.execute(statement)
    url = address.url().get_secret_value()
    if as_role:
        params = psycopg.conninfo.conninfo_to_dict(url)
        url = f"postgresql://{ROLE}:planted-role-password@{params['host']}:{params['port']}/{params['dbname']}"
    ((result, message, _),) = check_role(DatabaseSettings(name="orders", url=SecretStr(url)))
    return result, message


def test_what_a_role_may_beside_reading_is_named(role: Address) -> None:
    result, message = said(role)
    assert result == "ok"
    assert message.startswith(f"{ROLE} can read, and can neither write nor make anything; `backups restore`")
    result, message = said(role, f"GRANT INSERT ON orders TO {ROLE}", f"ALTER ROLE {ROLE} CREATEDB REPLICATION")
    assert result == "warning"
    assert "make databases (CREATEDB)" in message
    assert "copy the whole server (REPLICATION), though point in time is off" in message
    assert "write to 1 table (public.orders)" in message
    result, message = said(role, as_role=False)
    assert (result, "is a superuser" in message) == ("warning", True)
