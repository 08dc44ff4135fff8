"""What mends a finding of the status: the exact SQL or the exact line, and what else has to happen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from services.postgres.connection import Address

Then = Literal["", "reload", "restart"]


@dataclass(frozen=True)
class Remedy:
    """One step. ``statements`` are what SQL can do; ``by_hand`` what only somebody on the server's host can."""

    statements: tuple[str, ...] = ()
    by_hand: str = ""
    then: Then = ""
    """What the server needs afterwards, for it to count."""

    def text(self) -> str:
        """Return the step as people read it."""
        words = [*self.statements, self.by_hand]
        if self.then == "reload":
            words.append("SELECT pg_reload_conf();")
        elif self.then == "restart":
            words.append("-- then restart the server")
        return " ".join(word for word in words if word)


def alter_system(name: str, value: str, *, then: Then = "reload") -> Remedy:
    """Return the setting of a parameter."""
    statement = sql.SQL("ALTER SYSTEM SET {} = {};").format(sql.Identifier(name), sql.Literal(value))
    return Remedy((statement.as_string().replace(f'"{name}"', name),), then=then)


def make_slot(name: str) -> Remedy:
    """Return the making of a physical slot that holds the log back from now on."""
    literal = sql.Literal(name).as_string()
    return Remedy((f"SELECT pg_create_physical_replication_slot({literal}, true);",))


def drop_slot(name: str) -> Remedy:
    """Return the removal of a slot."""
    return Remedy((f"SELECT pg_drop_replication_slot({sql.Literal(name).as_string()});",))


def may_replicate(role: str) -> Remedy:
    """Return the granting of the right to open replication connections; a superuser has to do it."""
    return Remedy((f"ALTER ROLE {sql.Identifier(role).as_string()} REPLICATION;",))


def hba_line(address: Address, role: str) -> str:
    """Return the line of ``pg_hba.conf`` that lets a role's replication connections in, encrypted or not."""
    kind = "local" if address.host.startswith("/") else "host"
    where = "" if kind == "local" else "  all"
    return f"{kind}  replication  {sql.Identifier(role).as_string()}{where}  scram-sha-256"


def let_in(address: Address, role: str, hba_file: str) -> Remedy:
    """Return the change of ``pg_hba.conf``."""
    return Remedy(
        by_hand=f"Add the line `{hba_line(address, role)}` (an address of the worker instead of `all`, if it has a "
        f"fixed one) to {hba_file or 'pg_hba.conf'} on the server's host;",
        then="reload",
    )
