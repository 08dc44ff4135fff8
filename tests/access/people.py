"""People for tests, written straight into the table."""

from __future__ import annotations

from services.access.roles import Role
from services.catalog.people import Person
from services.installation import Installation


def add(inst: Installation, identity: str, role: str | None, *, disabled: bool = False) -> Person:
    """Add a person, as if an admin had."""
    now = inst.clock()
    person = Person(
        identity, None, "", "", Role(role) if role else None, "person", disabled, now, "test", now, "test"
    )  # fmt: skip
    with inst.catalog.engine.begin() as connection:
        inst.catalog.people.add(person, connection)
    return person
