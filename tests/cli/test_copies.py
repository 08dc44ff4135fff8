"""Further copies on the command line: made right after the backup, asked for by name, verified each by itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Shell


def states(backup: dict[str, object]) -> dict[str, str]:
    return {copy["storage"]: copy["state"] for copy in backup["copies"]}  # type: ignore[attr-defined]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and ".check-" not in path.name}


def test_a_backup_in_the_foreground_has_all_its_copies_when_it_returns(two: Shell) -> None:
    backup = two.create("--name", "both")
    assert states(backup) == {"primary": "stored", "second": "stored"}
    assert files(two.folder / "storage") == files(two.folder / "second")
    assert [run["kind"] for run in two.json("runs")] == ["copy", "backup"]
    said = two.run("create", "--quiet")
    assert said.exit_code == 0
    assert str(two.folder / "second") in said.stdout


def test_each_copy_is_verified_by_itself_and_a_restore_test_may_name_one(two: Shell) -> None:
    backup = two.create()
    (checked,) = two.json("verify", "--storage", "second", "--quiet")
    assert (checked["verification"]["storage"], checked["verification"]["outcome"]) == ("second", "passed")
    object_there = Path(backup["copies"][1]["location"].removeprefix("file://"))
    object_there.write_bytes(b"x" + object_there.read_bytes()[1:])
    assert two.run("verify", "--storage", "second", "--quiet").exit_code == 2
    (listed,) = two.json("list")
    assert states(listed) == {"primary": "stored", "second": "damaged"}
    assert listed["good"] is True
    assert two.run("verify", "--quiet").exit_code == 0
    mended = two.json("copy", backup["name"], "--to", "second", "--quiet")
    assert states(mended["backup"]) == {"primary": "stored", "second": "stored"}
    assert two.run("restore-test", "--storage", "second", "--quiet").exit_code == 0


def test_a_copy_that_fails_is_said_and_fails_no_backup(two: Shell) -> None:
    (two.folder / "second").write_text("not a folder")
    result = two.run("create", "--quiet")
    assert result.exit_code == 0
    assert "its copy in second could not be made" in result.stderr
    (backup,) = two.json("list")
    assert states(backup) == {"primary": "stored", "second": "failed"}
    assert backup["copies"][1]["error"]
    assert backup["copies"][1]["next_attempt_at"]
    (two.folder / "second").unlink()
    assert two.run("copy", backup["name"], "--to", "second", "--quiet").exit_code == 0
    assert states(two.json("list")[0]) == {"primary": "stored", "second": "stored"}


def test_a_backup_is_restored_from_the_second_storage_when_the_first_is_gone(two: Shell) -> None:
    backup = two.create()
    shutil.rmtree(two.folder / "storage")
    result = two.run("restore", backup["id"], "--target", "from_second", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "equal" in result.stdout
    log = [line["message"] for line in two.json("runs", two.json("runs")[0]["id"])["log"]]
    assert any("cannot be restored from primary, so the next copy is taken" in line for line in log)


def test_a_restore_that_names_a_copy_reads_no_other(two: Shell) -> None:
    backup = two.create()
    shutil.rmtree(two.folder / "second")
    result = two.run("restore", backup["id"], "--target", "named", "--storage", "second", "--quiet")
    assert result.exit_code == 1
    assert "second" in result.stderr


@pytest.mark.parametrize(
    "words", [["copy", "BACKUP", "--to", "secnd"], ["copy", "nosuch", "--to", "second"], ["copy", "BACKUP"]]
)
def test_what_is_asked_for_wrongly_is_refused(two: Shell, words: list[str]) -> None:
    backup = two.create()
    before = two.json("runs")
    result = two.run(*[backup["name"] if word == "BACKUP" else word for word in words])
    assert result.exit_code == 2, result.stderr
    assert two.json("runs") == before


def test_a_queued_backup_leaves_its_copies_to_the_worker(two: Shell) -> None:
    two.run("create", "--queue")
    assert [run["state"] for run in two.json("runs")] == ["queued"]
