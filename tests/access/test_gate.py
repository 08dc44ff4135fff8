"""The gate: no command without it, and what it says of whom it refuses."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

from services import commands
from services.access.identity import OWN, covering, identity, parse_identity
from services.access.table import PERMISSIONS
from services.commands import submit
from services.commands.gate import entered, following
from services.errors import InputError, NotPermitted
from services.installation import Installation
from services.settings.access import AccessSettings
from tests.access.people import add
from tests.support.installations import make_installation

ROOT = Path(__file__).parents[2]


@pytest.fixture
def inst(tmp_path: Path) -> Installation:
    return make_installation(tmp_path, access=AccessSettings(mode="proxy", admins=("cli:root@*",)))


def test_no_function_of_the_commands_is_public_and_ungated() -> None:
    shown = {name for name in commands.__all__ if inspect.isfunction(getattr(commands, name))}
    assert {name for name in shown if not hasattr(getattr(commands, name), "permission")} == set()
    found = []
    for module in pkgutil.iter_modules(commands.__path__, "services.commands."):
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            acts = "actor" in inspect.signature(function).parameters and function.__module__ == module.name
            if acts and not name.startswith("_") and not hasattr(function, "permission"):
                found.append(f"{module.name}.{name}")
    assert sorted(found) == ["services.commands.gate.entered", "services.commands.submit.submit_run"]


def test_only_commands_write_runs_of_people() -> None:
    """``submit_run`` is behind the gate, so nobody else may call it."""
    assert submit.submit_run
    callers = []
    for path in [*ROOT.glob("services/**/*.py"), *ROOT.glob("dashboard/**/*.py"), *ROOT.glob("pages/*.py")]:
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        if "submit_run" in names and path.parent.name != "commands":
            callers.append(path)
    assert callers == []


def test_a_refusal_says_who_what_which_role_and_what_to_do(inst: Installation) -> None:
    add(inst, "proxy:mara", "viewer")
    with pytest.raises(NotPermitted) as refused:
        commands.submit_cleanup(inst, apply=True, actor="proxy:mara")
    assert str(refused.value) == (
        "proxy:mara may not apply the retention policy: that needs the role admin, and proxy:mara is viewer. "
        "Ask an admin: `backups people set-role proxy:mara admin`."
    )
    assert refused.value.exit_code == 77
    with pytest.raises(NotPermitted, match="not among the people"):
        commands.submit_cleanup(inst, apply=True, actor="proxy:nobody")
    assert inst.catalog.runs.active() == []


def test_what_the_arguments_ask_for_decides(inst: Installation) -> None:
    add(inst, "proxy:mara", "operator")
    assert commands.submit_janitor(inst, apply=False, actor="proxy:mara", queue=False)
    with pytest.raises(NotPermitted, match="remove leftovers"):
        commands.submit_janitor(inst, apply=True, actor="proxy:mara", queue=False)
    request = commands.BackupRequest("la_factoria", encrypt=False)
    with pytest.raises(NotPermitted, match="without encryption"):
        commands.submit_backup(inst, request, actor="proxy:mara", queue=False)


def test_the_product_s_own_names_pass_and_no_identity_spells_them(inst: Installation) -> None:
    for own in OWN:
        assert commands.submit_janitor(inst, apply=True, actor=own, queue=False)
        assert all(parse_identity(own, kind=kind) not in OWN for kind in ("person", "proxy", "cli"))
    for text in ("dashboard", "", "person:schedule", "Schedule", "schedule\n", " schedule"):
        with pytest.raises(NotPermitted):
            commands.submit_janitor(inst, apply=False, actor=text, queue=False)


def test_identities_are_visible_ascii_and_fold_case(inst: Installation) -> None:
    assert identity("person", " Mara@Example.COM ") == "person:mara@example.com"
    assert covering("cli:root@db1") == ("cli:root@db1", "cli:root@*")
    for text in ("", "ma ra", "mаra@example.com", "mara\u202e", "x" * 191, "mara\x1b[2J"):  # the second a is Cyrillic
        with pytest.raises(InputError):
            identity("person", text)


def test_what_follows_from_a_permitted_run_is_let_through(inst: Installation) -> None:
    with following(), entered(inst, "backup.copy", actor="proxy:gone") as wish:
        assert wish.permission == "backup.copy"
    with pytest.raises(NotPermitted), entered(inst, "backup.copy", actor="proxy:gone"):
        pytest.fail("the block ran")


def test_without_sign_in_everybody_is_an_admin(tmp_path: Path) -> None:
    inst = make_installation(tmp_path)
    for permission in PERMISSIONS:
        with entered(inst, permission, actor="anybody"):
            pass
