"""How a command ends says how its work ended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer

import services.backups.create as create
from services.catalog.model import Run, RunState
from services.cli.restore_commands import _report_restore
from services.cli.running import fail_unless_finished
from services.errors import BackupsError, Cancelled
from tests.catalog.rows import NOW, make_backup
from tests.cli.conftest import Shell
from tests.pages.worlds import report


def run_that(state: RunState, **changes: Any) -> Run:
    return replace(Run("r1", "restore", "la_factoria", None, state, "ada", "", {}, NOW), **changes)


@pytest.mark.parametrize(
    ("outcome", "code", "word"),
    [("passed", 0, "equal"), ("failed", 2, "DIFFERENT"), ("not compared", 3, "not compared")],
)
def test_a_restore_ends_as_its_comparison_did(
    outcome: str, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(make_backup(), outcome="failed" if outcome == "failed" else "passed")
    if outcome == "not compared":
        found = replace(found, outcome="not compared", comparison=None, failure="the server has gone")
    run = run_that("finished", result={"report": found.to_json()})
    with pytest.raises(typer.Exit) as ended:
        _report_restore(run, as_json=False)
    assert ended.value.exit_code == code
    said = " ".join(capsys.readouterr().out.split())
    assert f"{word}: " in said
    assert ("the server has gone" in said) == (outcome == "not compared")
    with pytest.raises(typer.Exit) as ended:
        _report_restore(run, as_json=True)
    assert ended.value.exit_code == code
    assert json.loads(capsys.readouterr().out)["outcome"] == outcome


@pytest.mark.parametrize(
    ("result", "code"), [({"exit_code": 2}, 2), ({"exit_code": 1}, 1), ({}, 1), ({"exit_code": 0}, 1)]
)
def test_a_failed_run_ends_with_the_code_of_its_error(result: dict[str, Any], code: int) -> None:
    with pytest.raises(BackupsError, match="no such") as caught:
        fail_unless_finished(run_that("failed", error="no such table", result=result))
    assert caught.value.exit_code == code
    with pytest.raises(Cancelled):
        fail_unless_finished(run_that("cancelled"))
    fail_unless_finished(run_that("finished"))


def test_a_backup_whose_own_verification_fails_is_shown_as_failed(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = create.verify_backup

    def tampered(installation: Any, backup: Any, *rest: Any) -> Any:
        stored = Path(backup.copies[0].location.removeprefix("file://"))
        stored.write_bytes(stored.read_bytes()[:-1] + b"?")
        return verify(installation, backup, *rest)

    monkeypatch.setattr(create, "verify_backup", tampered)
    result = shell.run("create")
    assert result.exit_code == 1, result.stdout
    assert "checksum: FAILED" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    monkeypatch.undo()
    listed = json.loads(shell.run("list", "--json").stdout)
    assert [(b["good"], b["verification"]["passed"]) for b in listed] == [(False, False)]


def test_what_is_refused_to_a_command_without_a_terminal_is_a_failed_run_and_is_told(shell: Shell) -> None:
    """As a nightly `backups create` of the system's cron, which nobody reads."""
    refused = shell.run("create", "--quiet", "--exclude-table", "no_such_table")
    assert refused.exit_code == 2
    found = json.loads(shell.run("health", "--json").stdout)["checks"]
    assert [one["sentence"] for one in found if one["name"] == "backup_run"]
