"""What is asked for wrongly is refused with what is right, and nothing is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.postgres.connection import connect
from services.stream.encryption import generate_key
from tests.cli.conftest import Shell


def _said_in_one_line(text: str) -> bool:
    return len(text.strip().splitlines()) == 1 and text.startswith("Error: ")


@pytest.mark.parametrize(
    "words, close",
    [
        (["create", "la_factoira"], "la_factoria"),
        (["preflight", "La_Factoria"], "la_factoria"),
        (["list", "-d", "factoria"], "la_factoria"),
        (["status", "-d", "factoria"], "la_factoria"),
        (["verify", "--storage", "storag"], "Known"),
        (["runs", "nosuchrun"], "No run"),
        (["cancel", "nosuchrun"], "No run"),
        (["adopt", "x", "-d", "la_factori"], "la_factoria"),
    ],
)
def test_an_unknown_name_says_what_comes_close_and_ends_with_2(shell: Shell, words: list[str], close: str) -> None:
    result = shell.run(*words)
    assert result.exit_code == 2, result.stderr
    assert _said_in_one_line(result.stderr)
    assert close in result.stderr or "storage" in result.stderr
    assert shell.json("runs") == []


def test_an_unknown_or_mistyped_backup_says_what_comes_close(shell: Shell) -> None:
    backup = shell.create("--name", "before_deploy_42")
    for words in (["verify"], ["restore-test"], ["restore", "--target", "t"], ["compare", "la_factoria"]):
        typed = "before_deploy_41"
        where = [words[0], typed, *words[1:]]
        result = shell.run(*where)
        assert result.exit_code == 2, result.stderr
        assert backup["name"] in result.stderr
    assert [run["kind"] for run in shell.json("runs")] == ["backup"]


def test_a_name_that_two_databases_have_is_ambiguous(shell: Shell) -> None:
    config = shell.folder / "backups.toml"
    url = shell.variables["DATABASE_URL"]
    config.write_text(
        f'recipients = ["{shell.variables["BACKUP_RECIPIENTS"]}"]\n'
        f'[[storages]]\nname = "local"\nurl = "file://{shell.folder / "storage"}"\n'
        f'[[databases]]\nname = "one"\nurl = "{url}"\n[[databases]]\nname = "two"\nurl = "{url}"\n'
    )
    shell.variables = {k: v for k, v in shell.variables.items() if k not in ("DATABASE_URL", "BACKUP_STORAGE")}
    shell.variables["BACKUPS_CONFIG"] = str(config)
    shell.create("one", "--name", "same")
    shell.create("two", "--name", "same")
    ambiguous = shell.run("verify", "same")
    assert ambiguous.exit_code == 2
    assert "ambiguous" in ambiguous.stderr
    assert "one (id" in ambiguous.stderr
    assert shell.run("verify", "same", "-d", "two").exit_code == 0
    which = shell.run("create")
    assert which.exit_code == 2
    assert "one, two" in which.stderr


@pytest.mark.parametrize("name", ["a/b", "../up", "..", "it's", 'say "x"', "n" * 300, "", " ", "-x", "a\nb", "a\x1bb"])
def test_a_name_that_breaks_the_rule_is_refused_and_nothing_starts(shell: Shell, name: str) -> None:
    result = shell.run("create", f"--name={name}")
    assert result.exit_code == 2, result.stderr
    assert _said_in_one_line(result.stderr)
    assert "\x1b" not in result.stderr
    assert shell.json("runs") == []
    assert not list((shell.folder / "storage").rglob("*")) if (shell.folder / "storage").exists() else True


def test_a_name_that_exists_is_refused(shell: Shell) -> None:
    shell.create("--name", "taken")
    again = shell.run("create", "--name", "taken")
    assert again.exit_code == 2
    assert "already has a backup called taken" in again.stderr
    assert len(shell.json("runs")) == 1


def test_an_exclude_pattern_that_matches_nothing_is_refused_before_the_dump(shell: Shell) -> None:
    result = shell.run("create", "--exclude-table", "nosuch_*")
    assert result.exit_code == 2
    assert "nosuch_*" in result.stderr
    assert shell.json("list") == []
    log = [line["message"] for line in shell.json("runs", shell.json("runs")[0]["id"])["log"]]
    assert not any("Dumping" in line for line in log)
    partial = shell.create("--exclude-table", "audit_*")
    assert partial["excluded"]
    assert partial["good"] is False


@pytest.mark.parametrize("content", [b"", b"just text\n", b"\x7fELF" + bytes(100), b"PGDMP"])
def test_a_file_that_is_no_dump_is_not_adopted(shell: Shell, content: bytes) -> None:
    (shell.folder / "x.dump").write_bytes(content)
    result = shell.run("adopt", "x.dump")
    assert result.exit_code == 2, result.stderr
    assert result.stderr
    assert shell.json("list") == []
    assert not list(Path(shell.folder / "storage").rglob("*.manifest.json"))


def test_a_file_that_is_not_there_is_not_adopted(shell: Shell) -> None:
    result = shell.run("adopt", "nowhere.dump")
    assert result.exit_code == 2
    assert "There is no file" in result.stderr


def test_a_key_that_does_not_fit_restores_nothing(shell: Shell) -> None:
    backup = shell.create()
    other, public = generate_key()
    trust = {"BACKUP_ENCRYPTION_KEY": other, "BACKUP_RECIPIENTS": public}
    result = shell.run("restore", backup["id"], "--target", "never_made", **trust)
    assert result.exit_code == 1
    assert f"encrypted to {backup['recipients'][0]}, this key is {public}" in result.stderr
    assert other not in result.stderr
    with connect(shell.database.with_database("postgres")) as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'never_made'").fetchone() is None


def test_a_password_on_the_command_line_is_refused(shell: Shell) -> None:
    result = shell.run("compare", "la_factoria", "postgresql://u:hunter2@127.0.0.1:1/x")
    assert result.exit_code == 2
    assert "hunter2" not in result.stderr
    assert "env:" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--older-than", "soon"],
        ["list", "--last", "0"],
        ["list", "--type", "weekly"],
        ["status", "--date", "someday"],
        ["verify", "--level", "deep"],
        ["verify", "x", "--latest"],
        ["create", "--compression-level", "99"],
        ["restore", "x"],
        ["nosuchcommand"],
        ["list", "--nosuchoption"],
    ],
)
def test_what_cannot_be_understood_ends_with_2_and_one_line(shell: Shell, words: list[str]) -> None:
    result = shell.run(*words)
    assert result.exit_code == 2
    assert _said_in_one_line(result.stderr), result.stderr


def test_all_faults_of_the_settings_are_named_at_once(shell: Shell) -> None:
    result = shell.run(
        "list", DATABASE_URL="mysql://u:s3cret-word@h/x", BACKUP_STORAGE="ftp://h", BACKUP_RECIPIENTS="age1wrong"
    )
    assert result.exit_code == 2
    for field in ("DATABASE_URL", "BACKUP_STORAGE", "ecipients"):
        assert field in result.stderr
    assert "s3cret-word" not in result.stderr


def test_a_server_that_cannot_be_reached_fails_the_run_with_reason_and_hint(shell: Shell) -> None:
    result = shell.run("create", DATABASE_URL="postgresql://u:s3cret-word@127.0.0.1:1/x")
    assert result.exit_code == 1
    assert "127.0.0.1" in result.stderr.splitlines()[-1]
    assert result.stderr.count(result.stderr.splitlines()[-1].removeprefix("Error: ")) == 1, "said once"
    assert "s3cret-word" not in result.stdout + result.stderr
    (run,) = shell.json("runs")
    assert run["state"] == "failed"
    assert shell.json("list") == []


@pytest.mark.parametrize("group", ["schedule", "alert"])
def test_a_group_without_a_command_shows_its_help(shell: Shell, group: str) -> None:
    result = shell.run(group)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Usage: backups {group}")
    assert "\\n" not in result.stderr
    assert "\n  list " in result.stderr


def test_a_mistyped_command_is_answered_in_one_sentence(shell: Shell) -> None:
    result = shell.run("schedules")
    assert result.stderr.strip() == "Error: No such command 'schedules'. Did you mean 'schedule'? See `backups --help`."
