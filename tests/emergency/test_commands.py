"""The application's own commands: run in order, with nothing of ours in their environment, undone whatever happens."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from services import commands
from services.emergency.commands import run_command
from services.emergency.readiness import check_readiness, is_prepared
from services.errors import BackupsError
from services.postgres.connection import Address
from tests.emergency.conftest import MakeInstallation, can_write, emergency, told, wait_for

READY = {"read_only_on_command": ("true",), "read_only_off_command": ("true",)}


def test_the_application_is_told_to_stop_and_to_go_on(make: MakeInstallation, source: Address, tmp_path: Path) -> None:
    run = emergency(make(**told(tmp_path)))
    assert run.state == "finished", run.error
    assert (tmp_path / "told").read_text() == "on\noff\n"
    assert can_write(source)


def test_an_application_that_cannot_be_told_to_stop_is_told_to_go_on_and_nothing_is_backed_up(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    installation = make(**told(tmp_path, on="echo half >> {file}; echo no such project >&2; exit 3"))
    run = emergency(installation)
    assert run.state == "failed"
    assert "ended with 3: no such project" in run.error
    assert (tmp_path / "told").read_text() == "half\noff\n", "it may have got half way"
    assert can_write(source)
    assert installation.catalog.backups.list() == []


def test_a_command_sees_the_variables_that_the_settings_name_and_shows_no_secret(
    make: MakeInstallation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAILWAY_TOKEN", "token-5f1c")
    monkeypatch.setenv("BACKUP_ENCRYPTION_KEY", "AGE-SECRET-KEY-OURS")
    installation = make(read_only_command_environment=("RAILWAY_TOKEN",))
    said = run_command(installation.settings, installation.settings.databases[0], ("env",))
    assert "RAILWAY_TOKEN=***" in said
    assert {line.partition("=")[0] for line in said.split() if "=" in line} <= {"PATH", "LANG", "RAILWAY_TOKEN"}


def test_a_command_that_hangs_or_is_not_there_ends_in_time(make: MakeInstallation) -> None:
    installation = make(read_only_command_timeout=timedelta(seconds=1))
    database = installation.settings.databases[0]
    with pytest.raises(BackupsError, match="did not end within 1 s"):
        run_command(installation.settings, database, ("sh", "-c", "sleep 60 & sleep 60"))
    with pytest.raises(BackupsError, match="no program railwai"):
        run_command(installation.settings, database, ("railwai", "variable"))
    # What it leaves in the background does not keep us.
    assert run_command(installation.settings, database, ("sh", "-c", "sleep 5 & echo done")) == "done"


def test_doctor_says_on_a_quiet_day_what_would_be_missing(make: MakeInstallation, source: Address) -> None:
    ready = list(check_readiness(make(**READY).settings.databases[0]))
    assert [result for result, _, _ in ready] == ["ok"]
    database = make(read_only_on_command=("railwai", "on"), read_only_off_command=("true",)).settings.databases[0]
    assert is_prepared(database)
    found = list(check_readiness(database))
    assert [result for result, _, _ in found] == ["ok", "failed"]
    assert "no program railwai" in found[1][1]
    assert not is_prepared(make().settings.databases[0])


def test_a_cancel_ends_the_command_that_is_running_and_the_application_is_told_to_go_on(
    make: MakeInstallation, source: Address, tmp_path: Path
) -> None:
    installation = make(**told(tmp_path, on="echo on >> {file}; sleep 50"))

    def click() -> None:
        wait_for((tmp_path / "told").exists)
        (run,) = installation.catalog.runs.list()
        commands.request_cancel(installation, run.id, actor="ada")

    clicking = threading.Thread(target=click)
    clicking.start()
    run = emergency(installation)
    clicking.join()
    assert run.state == "cancelled"
    assert (tmp_path / "told").read_text() == "on\noff\n"
    assert can_write(source)
