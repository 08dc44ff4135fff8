"""people: who may do what."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services import commands
from services.access.roles import Role
from services.access.table import PERMISSIONS
from services.catalog.people import Person
from services.cli.app import CommandGroup, app
from services.cli.output import instant, note, say, stdout, table, write_json
from services.cli.session import AsJson, actor, opened
from services.clock import isoformat

people = typer.Typer(
    cls=CommandGroup,
    help="Who may do what: viewer, operator, admin. docs/access.md has the table.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
app.add_typer(people, name="people")

Who = Annotated[str, typer.Argument(metavar="WHO", help="mara@example.com, or cli:deploy@host; cli:deploy@*.")]
RoleOption = Annotated[Role, typer.Option("--role", help="What they may.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]


@people.command("list")
def list_people(as_json: AsJson = False) -> None:
    """List everybody who is known, with role, whether they are disabled, and when they were last seen."""
    with opened(quiet=as_json) as installation:
        found = installation.catalog.people.all()
        access = installation.settings.access
    if as_json:
        write_json([_form(person) for person in found])
        return
    rows = [
        (person.identity, person.name, _role(person), instant(person.last_seen_at), person.changed_by)
        for person in found
    ]
    stdout().print(table(["Who", "Name", "Role", "Last seen (UTC)", "Changed by"], rows, whole=["Who"]))
    if access.mode == "none":
        note("Nobody signs in (access.mode is none): whoever can read the settings may do everything.")
    elif access.admins:
        note(f"Admins by the settings: {', '.join(sorted(access.admin_identities()))}.")


@people.command("add")
def add(who: Who, role: RoleOption, name: str = "", reason: Reason = "", as_json: AsJson = False) -> None:
    """Let somebody in."""
    with opened(quiet=as_json) as installation:
        person = commands.add_person(installation, who, role, name=name, actor=actor(), reason=reason)
    _answer(person, as_json=as_json)


@people.command("set-role")
def set_role(
    who: Who,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator, admin, or none.")],
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Give somebody another role, from their next click on; by hand, whatever groups the provider says."""
    if role not in (*Role, "none"):
        raise typer.BadParameter(f"{role!r} is no role; there are viewer, operator, admin and none.")
    with opened(quiet=as_json) as installation:
        person = commands.set_role(
            installation, who, None if role == "none" else Role(role), actor=actor(), reason=reason
        )
    _answer(person, as_json=as_json)


@people.command("disable")
def disable(who: Who, reason: Reason = "", as_json: AsJson = False) -> None:
    """Shut somebody out, from their next click on."""
    with opened(quiet=as_json) as installation:
        person = commands.disable_person(installation, who, actor=actor(), reason=reason)
    _answer(person, as_json=as_json)


@people.command("enable")
def enable(who: Who, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let somebody in again who was disabled."""
    with opened(quiet=as_json) as installation:
        person = commands.enable_person(installation, who, actor=actor(), reason=reason)
    _answer(person, as_json=as_json)


@people.command("release")
def release(who: Who, reason: Reason = "", as_json: AsJson = False) -> None:
    """Forget which account of the provider somebody has: the next one with their address is taken for them."""
    with opened(quiet=as_json) as installation:
        person = commands.release_account(installation, who, actor=actor(), reason=reason)
    _answer(person, as_json=as_json)


def _answer(person: Person, *, as_json: bool) -> None:
    if as_json:
        write_json(_form(person))
        return
    may = [row.what for row in PERMISSIONS.values() if person.role and row.role is person.role]
    say(f"{person.identity}: {_role(person)}" + (f", who may {'; '.join(may[:3])}; …" if may else ""))


def _role(person: Person) -> str:
    role = person.role.value if person.role else "none"
    return f"{role}, disabled" if person.disabled else role


def _form(person: Person) -> dict[str, Any]:
    """Return a person as JSON has it: {identity, name, email, role, source, disabled, has_account, …}."""
    return {
        "identity": person.identity,
        "name": person.name,
        "email": person.email,
        "role": person.role.value if person.role else None,
        "source": person.source,
        "disabled": person.disabled,
        "has_account": person.subject is not None,
        "created_at": isoformat(person.created_at),
        "created_by": person.created_by,
        "changed_at": isoformat(person.changed_at),
        "changed_by": person.changed_by,
        "last_seen_at": isoformat(person.last_seen_at),
    }
