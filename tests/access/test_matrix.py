"""Every command × every role × (page, command line): allowed or refused as the table says, which the docs hold too."""

from __future__ import annotations

import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from services import commands
from services.access.roles import Role
from services.access.table import COMMAND_LINES, PERMISSIONS
from services.audit.query import AuditQuery, find_rows
from services.cli import session
from services.cli.main import app
from services.commands import gate
from services.errors import NotPermitted
from services.installation import Installation
from services.settings.access import AccessSettings
from tests.access.people import add
from tests.support.installations import make_installation

ROLES: tuple[Role | None, ...] = (None, *Role)
DOCS = Path(__file__).parents[2] / "docs" / "access.md"
NOTHING = "no-such-thing"
SPECIAL: dict[str, tuple[str, str, dict[str, Any]]] = {
    "submit_backup": ("submit_backup", "backup.create", {"request": commands.BackupRequest(NOTHING)}),
    "submit_backup, not encrypted": (
        "submit_backup", "backup.unencrypted", {"request": commands.BackupRequest(NOTHING, encrypt=False)}
    ),
    "submit_emergency": (
        "submit_emergency", "emergency.create", {"request": commands.EmergencyRequest(NOTHING, reason="x")}
    ),
    "submit_verification": ("submit_verification", "backup.verify", {"level": "checksum"}),
    "submit_verification, restore": ("submit_verification", "restore.test", {"level": "restore"}),
    "submit_cleanup": ("submit_cleanup", "retention.plan", {"database": NOTHING}),
    "submit_cleanup, apply": ("submit_cleanup", "retention.apply", {"database": NOTHING, "apply": True}),
    "set_pin": ("set_pin", "backup.pin", {"pinned": True}),
    "set_pin, off": ("set_pin", "backup.unpin", {"pinned": False}),
    "ask_download, decrypted": ("ask_download", "backup.decrypt", {"form": "plain", "reason": "x"}),
    "download_to_file": ("download_to_file", "backup.download", {"form": "stored"}),
    "download_to_file, decrypted": ("download_to_file", "backup.decrypt", {"form": "plain", "reason": "x"}),
    "submit_janitor": ("submit_janitor", "janitor.look", {"apply": False}),
    "submit_janitor, apply": ("submit_janitor", "janitor.apply", {"apply": True}),
}  # fmt: skip
"""Commands whose arguments decide what they need."""


def gated() -> Iterator[tuple[str, str, Callable[..., object], dict[str, Any]]]:
    """Yield each command with the permission it needs and arguments that make no sense.

    Whoever passes the gate meets another error then, or none.
    """
    shown = {name: getattr(commands, name) for name in commands.__all__}
    for name, (command, permission, values) in SPECIAL.items():
        yield name, permission, shown[command], nonsense(shown[command]) | values
    usual = {command for command, _, _ in SPECIAL.values()}
    for name, command in shown.items():
        if hasattr(command, "permission") and name not in usual:
            yield name, command.permission, command, nonsense(command)


def nonsense(command: Callable[..., object]) -> dict[str, Any]:
    """Return an argument for each that must be given, and no queue: that of this catalogue is another test's."""
    found = dict(inspect.signature(command).parameters)
    del found["installation"], found["actor"]
    values = {name: NOTHING for name, each in found.items() if each.default is inspect.Parameter.empty}
    return values | ({"queue": False} if "queue" in found else {})


@pytest.fixture(scope="module")
def inst(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = make_installation(
        tmp_path_factory.mktemp("matrix"), access=AccessSettings(mode="proxy", admins=("root@example.com",))
    )
    for role in Role:
        add(made, f"proxy:{role}", role)
        add(made, f"cli:{role}@desk", role)
    add(made, "proxy:None", None)
    add(made, "cli:None@desk", None)
    return made


def test_every_command_is_let_through_or_refused_as_the_table_says(inst: Installation) -> None:
    wrong, refusals = [], 0
    before = refused_rows(inst)
    for (name, permission, command, values), role in itertools.product(gated(), ROLES):
        try:
            command(inst, **values, actor=f"proxy:{role}")
            refused = False
        except NotPermitted:
            refused = True
        except Exception:  # noqa: BLE001 - what a command says of nonsense comes after the gate
            refused = False
        refusals += refused
        expected = role is None or not role.may(PERMISSIONS[permission].role)
        if refused is not expected:
            wrong.append((name, role, "refused" if refused else "let through"))
    assert wrong == []
    assert refused_rows(inst) - before == refusals > 100, "each refusal is in the audit log"


def refused_rows(inst: Installation) -> int:
    """Return how many refusals for want of a role the audit log holds: nonsense is refused as well."""
    return sum("that needs the role" in str(row) for row in find_rows(inst, AuditQuery(outcome="refused")))


def lines(command: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield every command line below a group, without the program's name."""
    children = getattr(command, "commands", {})
    for name, child in children.items():
        yield from lines(child, (*path, name))
    if not children or (path and getattr(command, "invoke_without_command", False)):
        yield " ".join(path)


def test_every_line_of_the_program_is_in_the_table_and_no_other() -> None:
    group = typer.main.get_command(app)
    assert set(lines(group)) | {"review"} == set(COMMAND_LINES)
    assert {permission for permission in COMMAND_LINES.values() if permission} <= set(PERMISSIONS)


WORDS = {
    "schedule set": ["--cron", "off"], "review actions change": ["--owner", "x"], "delete": ["x"], "review note": ["x"],
}  # fmt: skip
"""What a line needs to be understood, beside what the program itself says that it needs."""


def needed_words(group: Any, line: str) -> list[str]:
    """Return something for each argument and option that a command line must have."""
    command = group
    for word in line.split():
        command = command.commands[word]
    words = []
    for each in command.params:
        if each.required:
            value = VALUES.get(each.name, "1")
            words += [value] if each.param_type_name == "argument" else [each.opts[0], value]
    return words + WORDS.get(line, [])


VALUES = {"role": "viewer", "older_than": "7d", "to": "latest"}


class Passed(BaseException):
    """The gate let somebody through."""


def test_every_command_line_is_let_through_or_refused_as_the_table_says(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def admit(installation: Installation, wish: gate.Wish) -> None:
        real(installation, wish)
        raise Passed  # what comes after is another test's

    real = gate.admit
    monkeypatch.setattr(session, "admit", admit)
    monkeypatch.setattr(session, "open_installation", lambda _environ: inst)
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:1/x")
    monkeypatch.setenv("BACKUP_STORAGE", f"file://{tmp_path}")
    monkeypatch.setenv("BACKUP_RECIPIENTS", inst.settings.recipients[0])
    monkeypatch.setenv("BACKUP_ACCESS", "proxy")
    monkeypatch.setenv("BACKUP_ADMINS", "root@example.com")
    monkeypatch.setenv("BACKUP_PROXY_HEADER", "Remote-User")
    monkeypatch.setenv("BACKUP_PROXY_ADDRESSES", "10.0.0.5")
    before, refusals = refused_rows(inst), 0
    group = typer.main.get_command(app)  # built once: a runner would build it for each of these lines
    wrong = []
    for (line, permission), role in itertools.product(COMMAND_LINES.items(), ROLES):
        if permission is None:
            continue
        monkeypatch.setattr(session, "actor", lambda role=role: f"cli:{role}@desk")
        found: object = "it ended"
        try:
            group.main([*line.split(), *needed_words(group, line)], "backups")
        except Passed:
            found = "let through"
        except SystemExit as end:
            found = end.code
        allowed = role is not None and role.may(PERMISSIONS[permission].role)
        refusals += not allowed
        refused = 3 if line == "health" else NotPermitted.exit_code  # Nagios takes no other codes: unknown
        if found != ("let through" if allowed else refused):
            wrong.append((line, role, found, capsys.readouterr().err[-160:]))
    assert wrong == []
    assert refused_rows(inst) - before == refusals > 100, "each refusal is in the audit log"


def test_the_docs_hold_the_same_table() -> None:
    rows = re.findall(r"^\| `[a-z.]+` \| \w+ \| .* \|$", DOCS.read_text(), re.MULTILINE)
    expected = []
    for row in PERMISSIONS.values():
        asking = ", ".join(f"`{line}`" for line, permission in COMMAND_LINES.items() if permission == row.name)
        expected.append(f"| `{row.name}` | {row.role} | {row.what} | {asking or '–'} |")
    assert rows == expected, "The table is to be:\n" + "\n".join(expected)


def test_the_user_is_the_system_s_not_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    before = session.actor()
    monkeypatch.setenv("USER", "admin")
    monkeypatch.setenv("LOGNAME", "admin")
    assert session.actor() == before
    assert before.startswith("cli:")
    assert sys.platform == "darwin" or "admin" not in before
