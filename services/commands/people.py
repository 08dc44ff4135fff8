"""Who may do what: adding people, giving them a role, shutting them out and letting them in again."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from services.access.identity import parse_identity
from services.access.roles import Role
from services.audit.pending import settle
from services.catalog.people import Person
from services.commands.gate import permitted
from services.errors import AlreadyExists, InputError
from services.installation import Installation
from services.names import unknown_name

LONGEST_NAME = 200


@permitted("people.change")
def add_person(
    installation: Installation,
    who: str,
    role: Role,
    *,
    name: str = "",
    actor: str,
    reason: str = "",  # noqa: ARG001 - for the audit
) -> Person:
    """Let somebody in: ``mara@example.com``, or ``cli:deploy@host`` (``cli:deploy@*``: on whatever machine).

    Raise AlreadyExists, InputError.
    """
    identity = full_identity(installation, who)
    name = name.strip()
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise InputError("This is no name.", hint=f"Use at most {LONGEST_NAME} printable characters.")
    now = installation.clock()
    person = Person(identity, None, name, "", role, "person", False, now, actor, now, actor)
    try:
        with installation.catalog.engine.begin() as connection:
            installation.catalog.people.add(person, connection)
            settle(connection)
    except sa.exc.IntegrityError as error:
        raise AlreadyExists(f"{identity} is there already.", hint="See `backups people list`.") from error
    return person


@permitted("people.change")
def set_role(
    installation: Installation,
    who: str,
    role: Role | None,
    *,
    actor: str,
    reason: str = "",  # noqa: ARG001 - for the audit
) -> Person:
    """Give a person another role, or None: no right. From now on by hand, whatever groups the provider says.

    Raise UnknownName, InputError for the last admin, and for one whom the settings make an admin.
    """
    identity = full_identity(installation, who)
    if role is not Role.ADMIN and identity in installation.settings.access.admin_identities():
        raise InputError(f"{identity} is an admin by the settings.", hint="Take it out of access.admins there.")
    return _change(installation, identity, actor, role=role.value if role else None, source="person")


@permitted("people.change")
def disable_person(
    installation: Installation,
    who: str,
    *,
    actor: str,
    reason: str = "",  # noqa: ARG001 - for the audit
) -> Person:
    """Shut somebody out, from their next click on. Raise UnknownName, InputError for oneself and the last admin."""
    identity = full_identity(installation, who)
    if identity == actor:
        raise InputError("You cannot shut yourself out.", hint="Ask another admin.")
    return _change(installation, identity, actor, disabled=True)


@permitted("people.change")
def enable_person(
    installation: Installation,
    who: str,
    *,
    actor: str,
    reason: str = "",  # noqa: ARG001 - for the audit
) -> Person:
    """Let somebody in again who was disabled. Raise UnknownName."""
    return _change(installation, full_identity(installation, who), actor, disabled=False)


@permitted("people.change")
def release_account(
    installation: Installation,
    who: str,
    *,
    actor: str,
    reason: str = "",  # noqa: ARG001 - for the audit
) -> Person:
    """Forget which account of the provider a person's is: the next one that signs in with their name is taken.

    Every sign-in of before ends, or an open tab of the old account would take it again. Raise UnknownName.
    """
    ended = installation.clock().replace(microsecond=0)  # as a token says it
    return _change(installation, full_identity(installation, who), actor, subject=None, signed_out_at=ended)


@permitted("read")
def note_sign_in(installation: Installation, *, actor: str) -> None:
    """Note that somebody has begun to look at the pages."""


@permitted("read")
def sign_out(installation: Installation, *, actor: str) -> None:
    """End every sign-in of a person that began before: in all tabs, whatever cookie still says otherwise."""
    began_before = installation.clock().replace(microsecond=0)  # as a token says it
    with installation.catalog.engine.begin() as connection:
        installation.catalog.people.change(actor, connection, signed_out_at=began_before)
        settle(connection)


def full_identity(installation: Installation, who: str) -> str:
    """Return what is meant: a bare name is one of whoever signs in here. Raise InputError."""
    return parse_identity(who, kind="proxy" if installation.settings.access.mode == "proxy" else "person")


def _change(installation: Installation, identity: str, actor: str, **values: Any) -> Person:
    people = installation.catalog.people
    with installation.catalog.engine.begin() as connection:
        there = people.find([identity], connection)
        if there is None:
            raise unknown_name("person", identity, [person.identity for person in people.all()])
        people.change(identity, connection, changed_at=installation.clock(), changed_by=actor, **values)
        _refuse_without_admin(installation, connection)
        settle(connection, before=f"{there.role}{', disabled' if there.disabled else ''}")
        changed = people.find([identity], connection)
    assert changed is not None, "it has just been written"
    return changed


def _refuse_without_admin(installation: Installation, connection: sa.Connection) -> None:
    """Raise InputError when nobody is left who could let others in; the transaction is then undone."""
    access, people = installation.settings.access, installation.catalog.people
    if access.mode == "none" or people.admins(connection):
        return
    for identity in access.admin_identities():
        person = people.find([identity], connection)
        if person is None or not person.disabled:
            return
    raise InputError("Nobody would be an admin any more.", hint="Make somebody else an admin first.")
