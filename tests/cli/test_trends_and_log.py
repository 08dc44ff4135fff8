"""Trends and logs on the command line."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell


def test_trends_say_what_matters_and_give_every_number_as_json(shell: Shell) -> None:
    shell.create("--name", "first")
    shell.create("--name", "second")
    shell.json("restore-test", "--quiet")
    text = shell.run("trends").stdout
    assert "Every day on record had a good backup." in text
    assert "la_factoria" in text
    found = shell.json("trends", "--range", "30 days", "--database", "la_factoria")
    assert found["databases"] == ["la_factoria"]
    assert found["bucket"] == "backup"
    assert [point["backup"] for point in found["points"]] == ["first", "second"]
    assert found["points"][0]["at"].endswith("Z")
    assert found["points"][0]["stored_bytes"] > 0
    assert found["success"] == {"runs": 2, "runs_finished": 2, "days": 1, "days_good": 1}
    assert found["restores"][0]["seconds"] > 0
    assert found["storages"][0]["bytes"] > 0
    assert {growth["measure"] for growth in found["growth"]} == {"database_bytes", "stored_bytes"}
    assert found["outliers"] == []
    assert shell.json("trends", "--type", "emergency")["points"] == []


def test_trends_of_nothing_say_so(shell: Shell) -> None:
    assert "Nothing was backed up in this range." in shell.run("trends").stdout
    assert shell.json("trends")["points"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trends", "--since", "2026-01-10", "--until", "2026-01-09"), "before it begins on 2026-01-10"),
        (("trends", "--since", "2026-13-01"), "'2026-13-01' is no day"),
        (("trends", "--since", "2999-01-01"), "in the future"),
        (("trends", "--range", "30 days", "--since", "2026-01-01"), "--range ends today"),
        (("trends", "--database", "la_factory"), "la_factoria"),
        (("log", "--since", "yesterday"), "neither a day nor an instant"),
        (("log", "--since", "2026-01-10", "--until", "2026-01-09"), "before it begins"),
        (("log", "--since", "2026-01-10T10:00:00Z", "--until", "2026-01-10T10:00:00Z"), "before it begins"),
        (("log", "--all", "--last", "3"), "--all is the whole log"),
        (("log", "--restore-tests", "--last", "3"), "narrowed down by --since, --until and --database"),
        (("log", "first", "--since", "2026-01-10"), "A backup has one entry"),
        (("log", "--format", "xml"), "template"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(shell: Shell, words: tuple[str, ...], said: str) -> None:
    refused = shell.run(*words)
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert said in refused.stderr


def test_the_log_of_one_backup_is_its_entry(shell: Shell) -> None:
    shell.create("--name", "first", "--note", "before 4.2")
    shell.create("--name", "second")
    lines = shell.run("log", "first").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "Date",
        "Type",
        "Size",
        "Duration",
        "Location",
        "Verified",
        "Notes",
    ]
    assert lines[-1] == "Notes: before 4.2"
    assert shell.run("log", "nothing-like-it").exit_code == 2


def test_the_whole_log_in_each_form_narrowed_down_by_days(shell: Shell) -> None:
    for name in ("first", "second", "third"):
        shell.create("--name", name)
    whole = shell.run("log", "--all").stdout
    assert whole == shell.run("log").stdout
    assert whole.count("Date: ") == 3
    assert whole.count("\n\n") == 2
    rows = list(csv.DictReader(io.StringIO(shell.run("log", "--all", "--format", "csv").stdout)))
    assert [row["Backup"] for row in rows] == ["first", "second", "third"]
    records = json.loads(shell.run("log", "--all", "--format", "json").stdout)
    assert [record["name"] for record in records] == ["first", "second", "third"]
    day = records[0]["finished_at"][:10]
    assert shell.run("log", "--since", day, "--until", day).stdout == whole
    assert shell.run("log", "--until", "2020-01-01").stdout == ""
    after_first = records[1]["finished_at"]
    some = json.loads(shell.run("log", "--format", "json", "--since", after_first).stdout)
    assert [record["name"] for record in some] == ["second", "third"]
    last = json.loads(shell.run("log", "--format", "json", "--last", "2").stdout)
    assert [record["name"] for record in last] == ["second", "third"]


def test_the_log_of_restore_tests(shell: Shell) -> None:
    shell.create("--name", "first")
    assert shell.run("log", "--restore-tests").stdout == ""
    assert json.loads(shell.run("log", "--restore-tests", "--format", "json").stdout) == []
    shell.json("restore-test", "--quiet")
    shell.json("verify", "first", "--level", "checksum", "--quiet")
    (line,) = shell.run("log", "--restore-tests").stdout.splitlines()
    assert line.startswith("Restore test completed: ")
    assert " - la_factoria, first: passed, restored in " in line
    (row,) = csv.DictReader(io.StringIO(shell.run("log", "--restore-tests", "--format", "csv").stdout))
    assert (row["Level"], row["Outcome"]) == ("restore", "passed")
    assert float(row["Measured RTO (s)"]) > 0
    (record,) = json.loads(shell.run("log", "--restore-tests", "--format", "json").stdout)
    assert record["backup"] == "first"


def test_no_other_command_pays_for_the_trends() -> None:
    """pandas and numpy are half of the start-up time of a command that needs neither."""
    script = (
        "import sys, services.cli.main; print([name for name in ('pandas', 'numpy', 'altair') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
