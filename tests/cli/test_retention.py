"""Retention on the command line: cleanup, delete, pins, and what `list` says of each backup."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app
from services.installation import open_installation
from services.storage.local import LocalStorage
from tests.retention.lab import DAY, NOW, Lab, lab_settings


class Shell:
    """The command line over a lab: its settings in a file, its clock standing still."""

    def __init__(self, lab: Lab, config: Path) -> None:
        self.lab = lab
        self.config = config

    def run(self, *words: str) -> Result:
        result = CliRunner().invoke(app, list(words), env={"BACKUPS_CONFIG": str(self.config), "BACKUPS_HOME": None})
        assert "Traceback" not in result.stderr
        return result

    def json(self, *words: str, exit_code: int = 0) -> Any:
        result = self.run(*words, "--json")
        assert result.exit_code == exit_code, result.stderr
        return json.loads(result.stdout)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Thirty daily backups of la_factoria, and one of billing."""
    lab = Lab(lab_settings(tmp_path, databases=("la_factoria", "billing")))
    key = lab.settings.encryption_key
    assert key is not None
    text = f'home = "{tmp_path}"\nencryption_key = "{key.get_secret_value()}"\n'
    for name in ("primary", "second"):
        text += f'[[storages]]\nname = "{name}"\nurl = "file://{tmp_path / name}"\n'
    for name in ("la_factoria", "billing"):
        text += f'[[databases]]\nname = "{name}"\nurl = "postgresql://u:p@127.0.0.1:1/x"\n'
    (tmp_path / "backups.toml").write_text(text)
    defaults = {"migrate": False, "clock": lambda: NOW}
    monkeypatch.setattr(open_installation, "__kwdefaults__", defaults)
    lab.daily(30)
    lab.store("bill", NOW, database="billing")
    yield Shell(lab, tmp_path / "backups.toml")
    lab.inst.close()


def test_a_cleanup_is_a_dry_run_until_it_is_told_to_apply(shell: Shell) -> None:
    planned = shell.json("cleanup")
    assert (planned["outcome"], planned["backups"], planned["applied"]) == ("planned", 19, False)
    assert [item["name"] for item in planned["items"]][:2] == ["d29", "d28"]
    assert set(shell.lab.states().values()) == {"finished"}
    words = shell.run("cleanup")
    assert words.exit_code == 0
    assert "outside every tier" in words.stdout
    assert "19 backups would go" in words.stdout
    assert "--apply" in words.stderr
    assert shell.run("cleanup", "--database", "billing").stdout.startswith("0 backups would go")
    applied = shell.json("cleanup", "--apply", "--database", "la_factoria")
    assert (applied["outcome"], applied["deleted"]) == ("deleted", 19)
    assert shell.json("cleanup", "--apply")["outcome"] == "nothing to delete"


def test_a_cleanup_that_failed_in_part_says_so_with_its_exit_code(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = LocalStorage.delete
    monkeypatch.setattr(LocalStorage, "delete", lambda self, key: None if "d9.dump" in key else delete(self, key))
    result = shell.run("cleanup", "--apply")
    assert result.exit_code == 1
    assert "18 backups deleted" in result.stdout
    assert "1 could not be deleted" in result.stdout
    listed = {backup["name"]: backup for backup in shell.json("list")}
    assert len(listed) == 13
    assert "still there" in listed["d9"]["copies"][0]["deletion_error"]
    assert listed["d7"]["copies"][0]["deletion_error"] is None
    assert "d9 (deletion failed)" in shell.run("list").stdout


def test_list_says_by_what_and_until_when_each_backup_is_kept(shell: Shell) -> None:
    shell.run("pin", "d20", "--reason", "audit")
    listed = {backup["name"]: backup for backup in shell.json("list", "--database", "la_factoria")}
    assert len(listed) == 30
    assert listed["d1"]["tiers"] == ["daily"]
    assert listed["d1"]["keep_reasons"] == ["daily", "minimum"]
    assert listed["d1"]["expires_at"] == "2026-11-28T00:00:00.000Z"
    assert (listed["d20"]["tiers"], listed["d20"]["keep_reasons"]) == ([], ["pinned"])
    assert listed["d20"]["expires_at"] is None
    assert (listed["d9"]["tiers"], listed["d9"]["keep_reasons"]) == ([], [])
    assert listed["d9"]["expires_at"] == "2026-11-22T12:00:00.000Z", "at the next cleanup"
    shell.run("cleanup", "--apply")
    [expired] = [backup for backup in shell.json("list", "--state", "expired") if backup["name"] == "d9"]
    assert (expired["tiers"], expired["keep_reasons"]) == ([], [])
    assert expired["expires_at"] == "2026-11-22T12:00:00.000Z"
    assert len(shell.json("list", "--state", "all")) == 31
    assert {backup["name"] for backup in shell.json("list", "--older-than", "27d", "--state", "all")} == {"d28", "d29"}


def test_what_list_writes_can_be_simulated(shell: Shell, tmp_path: Path) -> None:
    listed = shell.json("list", "--state", "all")
    (tmp_path / "inventory.json").write_text(json.dumps(listed))
    answer = shell.json(
        "simulate", "--inventory", str(tmp_path / "inventory.json"), "--policy", "7,4,12,5", "--now", NOW.isoformat()
    )
    assert [(each["id"], each["tiers"], each["reasons"]) for each in answer] == [
        (backup["id"], backup["tiers"], backup["keep_reasons"]) for backup in listed
    ]


def test_delete_shows_the_list_and_is_refused_without_confirm(shell: Shell) -> None:
    result = shell.run("delete", "--older-than", "20d", "--database", "la_factoria")
    assert result.exit_code == 2
    assert "needs --confirm" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "9 to delete" in result.stdout
    assert "monthly" in result.stdout, "which tiers lose something"
    form = json.loads(shell.run("delete", "--older-than", "20d", "--json").stdout)
    assert (len(form["would_delete"]), form["deleted"], form["spared"]) == (9, 0, [])
    assert set(shell.lab.states().values()) == {"finished"}
    assert shell.json("runs") == []


def test_delete_older_than_deletes_what_the_list_showed(shell: Shell) -> None:
    shell.run("pin", "d25")
    result = shell.run("delete", "--older-than", "20d", "--confirm", "--reason", "moved away")
    assert result.exit_code == 0, result.stderr
    assert "8 backups deleted" in result.stdout
    gone = {name for name, state in shell.lab.states().items() if state == "expired"}
    assert gone == {f"d{n}" for n in range(21, 30)} - {"d25"}
    assert {row.note for row in shell.lab.inst.catalog.deletions.list()} == {"moved away"}
    again = shell.run("delete", "--older-than", "20d", "--confirm")
    assert again.exit_code == 0
    assert "0 to delete" in again.stdout


def test_delete_of_one_backup_by_its_name(shell: Shell) -> None:
    assert shell.run("delete", "d3").exit_code == 2
    assert shell.lab.states()["d3"] == "finished"
    done = shell.json("delete", "d3", "--confirm")
    assert (done["deleted"], done["items"][0]["tiers"]) == (1, ["daily"])
    again = shell.run("delete", "d3", "--confirm")
    assert again.exit_code == 2
    assert "was deleted already" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("delete",), "Name one backup, or give an age: --older-than 30d"),
        (("delete", "d3", "--older-than", "30d", "--confirm"), "Name one backup, or give an age"),
        (("delete", "--older-than", "30", "--confirm"), "Write a number and a unit: 12h, 30d, 8w"),
        (("delete", "--older-than", "-30d", "--confirm"), "Write a number and a unit"),
        (("delete", "--older-than", "99999999999999999d", "--confirm"), "Write a number and a unit"),
        (("list", "--older-than", "30"), "Write a number and a unit"),
        (("delete", "d1", "--confirm"), "one of the 3 newest good backups. Give a reason"),
        (("delete", "d1", "--confirm", "--force", "  "), "one of the 3 newest good backups"),
        (("delete", "bill", "--confirm"), "one of the 3 newest good backups"),
        (("delete", "d91", "--confirm"), "Did you mean"),
        (("delete", "d3", "--confirm", "--database", "billing"), "No backup is called"),
        (("delete", "--older-than", "30d", "--confirm", "--database", "biling"), "billing"),
        (("cleanup", "--database", "biling"), "billing"),
        (("pin", "d91"), "Did you mean"),
        (("pin", "d3", "--reason", "x" * 2001), "at most 2,000"),
        (("unpin", "nothing like it"), "No backup is called"),
        (("cleanup", "--older-than", "3d"), "No such option"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_what_is_allowed_and_nothing_is_changed(
    shell: Shell, words: tuple[str, ...], said: str
) -> None:
    result = shell.run(*words)
    assert result.exit_code == 2, result.stdout
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert set(shell.lab.states().values()) == {"finished"}
    assert not any(backup.pinned for backup in shell.lab.inst.catalog.backups.list())
    assert shell.lab.inst.catalog.runs.list() == []


def test_the_newest_good_one_goes_only_with_a_reason(shell: Shell) -> None:
    result = shell.run("delete", "bill", "--confirm", "--force", "a leaked key")
    assert result.exit_code == 0, result.stderr
    [row] = shell.lab.inst.catalog.deletions.list()
    assert row.note == "Forced: a leaked key"


PINNED = "d20 is pinned: no policy deletes it, and nobody can by hand, until it is unpinned.\n"


def test_what_is_deleted_early_from_cold_storage_is_said_to_be_billed(shell: Shell) -> None:
    [gone] = [backup for backup in shell.lab.inst.catalog.backups.list() if backup.name == "d20"]
    with shell.lab.inst.catalog.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE copies SET storage_class = 'GLACIER' WHERE backup_id = '{gone.id}'")
    result = shell.run("delete", "d20")
    assert "1 copy in Glacier Flexible Retrieval (90 days), counted from when each was moved." in result.stdout
    assert "Glacier" not in shell.run("delete", "d21").stdout


def test_pins_hold_against_cleanup_and_delete_until_they_are_taken_away(shell: Shell) -> None:
    pinned = shell.run("pin", "d20", "--reason", "for the audit")
    assert (pinned.exit_code, pinned.stdout) == (0, PINNED)
    assert shell.run("pin", "d20").stdout == "d20 was pinned already.\n"
    assert "mark-pin.json" in shell.lab.keys(name="d20")
    shell.run("cleanup", "--apply")
    refused = shell.run("delete", "d20", "--confirm", "--force", "really")
    assert refused.exit_code == 2
    assert "backups unpin" in refused.stderr
    expired = shell.run("pin", "d9")
    assert expired.exit_code == 2
    assert "d9 has expired" in expired.stderr
    gone = "d20 is not pinned any more, and nothing else keeps it: the next cleanup deletes it.\n"
    assert shell.run("unpin", "d20").stdout == gone
    assert shell.run("unpin", "d20").stdout == "d20 was not pinned; nothing has changed.\n"
    kept = shell.run("pin", "d1"), shell.run("unpin", "d1")
    assert kept[1].stdout.startswith("d1 is not pinned any more. The policy keeps it still: the newest good backup of")
    assert shell.json("cleanup", "--apply")["deleted"] == 1


def test_the_age_of_what_a_listing_shows_is_counted_from_the_end_of_the_backup(shell: Shell) -> None:
    shell.lab.store("edge", NOW - 30 * DAY)
    assert [backup["name"] for backup in shell.json("list", "--older-than", "30d")] == []
    assert [backup["name"] for backup in shell.json("list", "--older-than", "29d")] == ["edge"]
