"""Every command × every role × (page, command line): allowed or refused as the table says, which the docs hold too."""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from services import commands
from services.access.roles import Role
from services.access.table import COMMAND_LINES, PERMISSIONS
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
CALLS: dict[str, tuple[str, Callable[[Installation, str], object]]] = {
    name: (permission, call)
    for name, permission, call in (
        ("acknowledge_alert", "alert.acknowledge",
         lambda i, a: commands.acknowledge_alert(i, NOTHING, note="", actor=a)),
        ("send_test_messages", "alert.test", lambda i, a: commands.send_test_messages(i, actor=a)),
        ("submit_archives", "backup.archive", lambda i, a: commands.submit_archives(i, [], timedelta(1), actor=a)),
        ("submit_thaw", "backup.thaw", lambda i, a: commands.submit_thaw(i, NOTHING, actor=a)),
        ("submit_backup", "backup.create",
         lambda i, a: commands.submit_backup(i, commands.BackupRequest(NOTHING), actor=a)),
        ("submit_backup, not encrypted", "backup.unencrypted",
         lambda i, a: commands.submit_backup(i, commands.BackupRequest(NOTHING, encrypt=False), actor=a)),
        ("submit_adopt", "backup.adopt", lambda i, a: commands.submit_adopt(i, Path("/x"), NOTHING, actor=a)),
        ("submit_compressions", "backup.compress", lambda i, a: commands.submit_compressions(i, [], actor=a)),
        ("submit_copy", "backup.copy", lambda i, a: commands.submit_copy(i, NOTHING, "primary", actor=a)),
        ("submit_emergency", "emergency.create",
         lambda i, a: commands.submit_emergency(i, commands.EmergencyRequest(NOTHING, reason="x"), actor=a)),
        ("release_read_only", "emergency.release", lambda i, a: commands.release_read_only(i, NOTHING, actor=a)),
        ("submit_base_backup", "base.create", lambda i, a: commands.submit_base_backup(i, NOTHING, actor=a)),
        ("submit_point_test", "point.test", lambda i, a: commands.submit_point_test(i, NOTHING, None, actor=a)),
        ("submit_point_restore", "point.restore",
         lambda i, a: commands.submit_point_restore(i, NOTHING, None, Path("x"), actor=a)),
        ("submit_verification", "backup.verify",
         lambda i, a: commands.submit_verification(i, NOTHING, "checksum", actor=a)),
        ("submit_verification, restore", "restore.test",
         lambda i, a: commands.submit_verification(i, NOTHING, "restore", actor=a)),
        ("submit_restore", "restore.database", lambda i, a: commands.submit_restore(i, NOTHING, "x", actor=a)),
        ("submit_cleanup", "retention.plan",
         lambda i, a: commands.submit_cleanup(i, database=NOTHING, actor=a, queue=False)),
        ("submit_cleanup, apply", "retention.apply",
         lambda i, a: commands.submit_cleanup(i, database=NOTHING, apply=True, actor=a, queue=False)),
        ("submit_deletion", "backup.delete", lambda i, a: commands.submit_deletion(i, [], actor=a)),
        ("set_pin", "backup.pin", lambda i, a: commands.set_pin(i, NOTHING, pinned=True, actor=a)),
        ("set_pin, off", "backup.unpin", lambda i, a: commands.set_pin(i, NOTHING, pinned=False, actor=a)),
        ("write_review_note", "review.write", lambda i, a: commands.write_review_note(i, "2026-W01", "", actor=a)),
        ("edit_review_note", "review.write", lambda i, a: commands.edit_review_note(i, NOTHING, "x", actor=a)),
        ("withdraw_review_note", "review.write", lambda i, a: commands.withdraw_review_note(i, NOTHING, actor=a)),
        ("add_action_item", "review.write", lambda i, a: commands.add_action_item(i, "2026-W01", "", actor=a)),
        ("change_action_item", "review.write",
         lambda i, a: commands.change_action_item(i, NOTHING, owner="", due=None, actor=a)),
        ("complete_action_item", "review.write", lambda i, a: commands.complete_action_item(i, NOTHING, actor=a)),
        ("reopen_action_item", "review.write", lambda i, a: commands.reopen_action_item(i, NOTHING, actor=a)),
        ("set_schedule", "schedule.change", lambda i, a: commands.set_schedule(i, NOTHING, actor=a)),
        ("pause_schedule", "schedule.change", lambda i, a: commands.pause_schedule(i, NOTHING, actor=a)),
        ("resume_schedule", "schedule.change", lambda i, a: commands.resume_schedule(i, NOTHING, actor=a)),
        ("run_schedule", "schedule.run", lambda i, a: commands.run_schedule(i, NOTHING, actor=a)),
        ("submit_janitor", "janitor.look", lambda i, a: commands.submit_janitor(i, apply=False, actor=a, queue=False)),
        ("submit_janitor, apply", "janitor.apply",
         lambda i, a: commands.submit_janitor(i, apply=True, actor=a, queue=False)),
        ("submit_health", "health.run", lambda i, a: commands.submit_health(i, actor=a, queue=False)),
        ("request_cancel", "run.cancel", lambda i, a: commands.request_cancel(i, NOTHING, actor=a)),
        ("add_person", "people.change", lambda i, a: commands.add_person(i, "", Role.VIEWER, actor=a)),
        ("set_role", "people.change", lambda i, a: commands.set_role(i, NOTHING, None, actor=a)),
        ("disable_person", "people.change", lambda i, a: commands.disable_person(i, NOTHING, actor=a)),
        ("enable_person", "people.change", lambda i, a: commands.enable_person(i, NOTHING, actor=a)),
        ("release_account", "people.change", lambda i, a: commands.release_account(i, NOTHING, actor=a)),
        ("note_sign_in", "read", lambda i, a: commands.note_sign_in(i, actor=a)),
        ("sign_out", "read", lambda i, a: commands.sign_out(i, actor=a)),
    )
}  # fmt: skip
"""Each command with arguments that no command takes: whoever passes the gate meets another error, or none."""


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


def test_every_command_of_pages_is_let_through_or_refused_as_the_table_says(inst: Installation) -> None:
    wrong = []
    for (name, (permission, call)), role in itertools.product(CALLS.items(), ROLES):
        try:
            call(inst, f"proxy:{role}")
            refused = False
        except NotPermitted:
            refused = True
        except Exception:  # noqa: BLE001 - what a command says of nonsense comes after the gate
            refused = False
        expected = role is None or not role.may(PERMISSIONS[permission].role)
        if refused is not expected:
            wrong.append((name, role, "refused" if refused else "let through"))
    assert wrong == []
    assert {name.partition(",")[0] for name in CALLS} == {
        name for name in commands.__all__ if hasattr(getattr(commands, name), "permission")
    }


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
    "restore": [NOTHING, "--target", "x"], "compare": ["x", "y"], "adopt": ["/x"], "cancel": [NOTHING], "runs": [],
    "copy": [NOTHING, "--to", "x"], "contents": [NOTHING], "delete": [NOTHING], "pin": [NOTHING], "unpin": [NOTHING],
    "thaw": [NOTHING], "schedule show": [NOTHING], "schedule set": [NOTHING, "--cron", "off"],
    "schedule pause": [NOTHING],
    "schedule resume": [NOTHING], "schedule run": [NOTHING], "alert ack": [NOTHING, "--note", "x"],
    "review note": ["x"], "review actions add": ["x"], "review actions done": [NOTHING],
    "review actions change": [NOTHING, "--owner", "x"], "people add": ["x", "--role", "viewer"],
    "people set-role": [NOTHING, "none"], "people disable": [NOTHING], "people enable": [NOTHING],
    "people release": [NOTHING], "emergency": ["--reason", "x"], "read-only release": [NOTHING],
    "pitr restore-test": ["--to", "latest"], "pitr restore": ["--to", "latest", "--into", "/x"],
    "compress": ["--older-than", "7d"], "archive": ["--older-than", "30d"],
}  # fmt: skip
"""What a line needs to be understood at all."""


class Passed(BaseException):
    """The gate let somebody through."""


def test_every_command_line_is_let_through_or_refused_as_the_table_says(
    inst: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.age"
    file.write_bytes(b"age-encryption.org/v1")
    words = WORDS | {"decrypt": [str(file)]}

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
    group = typer.main.get_command(app)  # built once: a runner would build it for each of these lines
    wrong = []
    for (line, permission), role in itertools.product(COMMAND_LINES.items(), ROLES):
        if permission is None:
            continue
        monkeypatch.setattr(session, "actor", lambda role=role: f"cli:{role}@desk")
        found: object = "it ended"
        try:
            group.main([*line.split(), *words.get(line, [])], "backups")
        except Passed:
            found = "let through"
        except SystemExit as end:
            found = end.code
        allowed = role is not None and role.may(PERMISSIONS[permission].role)
        refused = 3 if line == "health" else NotPermitted.exit_code  # Nagios takes no other codes: unknown
        if found != ("let through" if allowed else refused):
            wrong.append((line, role, found, capsys.readouterr().err[-160:]))
    assert wrong == []


def test_the_docs_hold_the_same_table() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \| (\w+) \| (.*?) \| (.*?) \|$", DOCS.read_text(), re.MULTILINE)
    expected = [
        (
            row.name,
            row.role.value,
            row.what,
            ", ".join(f"`{line}`" for line, permission in COMMAND_LINES.items() if permission == row.name) or "–",
        )
        for row in PERMISSIONS.values()
    ]
    assert rows == expected


def test_the_user_is_the_system_s_not_the_environment_s(monkeypatch: pytest.MonkeyPatch) -> None:
    before = session.actor()
    monkeypatch.setenv("USER", "admin")
    monkeypatch.setenv("LOGNAME", "admin")
    assert session.actor() == before
    assert before.startswith("cli:")
    assert sys.platform == "darwin" or "admin" not in before
