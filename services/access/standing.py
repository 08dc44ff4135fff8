"""How an actor stands at this moment: looked up anew each time, so that a change holds from the next click on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from services.access.identity import OWN, PAGE_WITHOUT_SIGN_IN, covering
from services.access.roles import Role
from services.access.table import PERMISSIONS
from services.catalog.people import Person
from services.errors import NotPermitted
from services.installation import Installation


@dataclass(frozen=True)
class Standing:
    """What an actor may, and why."""

    actor: str
    role: Role | None
    why: str
    """A sentence, of why there is no role."""
    person: Person | None = None

    def may(self, permission: str) -> bool:
        """Say whether that is permitted; the permission is one of the table's."""
        return self.role is not None and self.role.may(PERMISSIONS[permission].role)


def standing_of(installation: Installation, actor: str) -> Standing:
    """Look an actor up: the settings' admins, then the table of people. Without sign-in everybody is an admin."""
    access = installation.settings.access
    if access.mode == "none" or actor in OWN:
        return Standing(actor, Role.ADMIN, "")
    if actor == PAGE_WITHOUT_SIGN_IN:
        return Standing(actor, None, "Nobody has signed in.")
    entries = covering(actor)
    person = installation.catalog.people.find(entries)
    if person is not None and person.disabled:
        return Standing(actor, None, f"{actor} is disabled.", person)
    if not access.admin_identities().isdisjoint(entries):
        return Standing(actor, Role.ADMIN, "", person)
    if person is None:
        return Standing(actor, None, f"{actor} is not among the people of this installation.")
    return Standing(actor, person.role, "" if person.role else f"{actor} has no role.", person)


def require(installation: Installation, actor: str, permission: str) -> Standing:
    """Return how the actor stands. Raise NotPermitted: who, what, which role it needs, and what to do."""
    standing = standing_of(installation, actor)
    if standing.may(permission):
        return standing
    needed = PERMISSIONS[permission]
    who = f"{actor} is {standing.role}" if standing.role else standing.why.rstrip(".")
    name = shlex.quote(actor)  # an account's name is whatever its owner chose
    raise NotPermitted(
        f"{actor} may not {needed.what}: that needs the role {needed.role}, and {who}.",
        hint=f"Ask an admin: `backups people set-role {name} {needed.role}`."
        if standing.person is not None and not standing.person.disabled
        else f"Ask an admin: `backups people {'enable' if standing.person else 'add'} {name}`.",
    )
