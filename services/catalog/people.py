"""People: who may sign in or type commands, and as what. Who has no row here has no right."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.access.roles import Role
from services.catalog.schema import people


@dataclass(frozen=True)
class Person:
    """One row of the table."""

    identity: str
    """As records name them; see ``services.access.identity``."""
    subject: str | None
    """Issuer and subject of the account that signed in first: whoever has the address later is somebody else."""
    name: str
    email: str
    role: Role | None
    """None: known, and with no right."""
    source: str
    """Where the role comes from: ``person`` (given by hand), ``claims`` (by the mapping), ``settings``."""
    disabled: bool
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str
    last_seen_at: datetime | None = None
    signed_out_at: datetime | None = None
    """What signed in before this is signed out: by themselves, by other groups later on, or their account released."""


class PeopleStore:
    """The people. Every method is one transaction, or part of the caller's."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def find(self, identities: Sequence[str], connection: sa.Connection | None = None) -> Person | None:
        """Return the person of the first of these identities that there is."""
        rows = self._rows(people.c.identity.in_(identities), connection)
        return min(rows, key=lambda person: identities.index(person.identity), default=None)

    def by_subject(self, subject: str, connection: sa.Connection | None = None) -> Person | None:
        """Return the person whose account this is."""
        return next(iter(self._rows(people.c.subject == subject, connection)), None)

    def all(self) -> builtins.list[Person]:
        """Return everybody, by identity."""
        return sorted(self._rows(sa.true(), None), key=lambda person: person.identity)

    def add(self, person: Person, connection: sa.Connection) -> None:
        """Add a person. Raise IntegrityError when the identity or the account is there."""
        connection.execute(people.insert().values(vars(person)))

    def change(self, identity: str, connection: sa.Connection, **values: Any) -> None:
        """Set these columns of a person."""
        connection.execute(people.update().where(people.c.identity == identity).values(**values))

    def renew(self, identity: str, connection: sa.Connection, began: datetime, **values: Any) -> bool:
        """Set these columns by what a sign-in says; False, and nothing set, when it began before one's end by now."""
        goes_on = sa.or_(people.c.signed_out_at.is_(None), people.c.signed_out_at <= began)
        where = sa.and_(people.c.identity == identity, goes_on)
        return connection.execute(people.update().where(where).values(**values)).rowcount == 1

    def admins(self, connection: sa.Connection) -> builtins.list[Person]:
        """Return the admins that are not disabled, their rows held until the transaction ends."""
        query = sa.select(people).where(people.c.role == Role.ADMIN.value, people.c.disabled.is_(False))
        return [_person(row) for row in connection.execute(query.with_for_update())]

    def _rows(self, where: sa.ColumnElement[bool], connection: sa.Connection | None) -> builtins.list[Person]:
        query = sa.select(people).where(where)
        if connection is not None:
            return [_person(row) for row in connection.execute(query)]
        with self._engine.connect() as own:
            return [_person(row) for row in own.execute(query)]


def _person(row: sa.Row[Any]) -> Person:
    values = dict(row._mapping)
    return Person(**values | {"role": Role(values["role"]) if values["role"] else None})
