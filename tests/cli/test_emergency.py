"""The hard day on the command line: the plan, the emergency backup, and read-only mode seen and released."""

from __future__ import annotations

from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.read_only import switch_on, visit
from services.installation import open_installation
from tests.cli.conftest import Shell
from tests.emergency.conftest import can_write, setting


def test_the_plan_says_what_will_be_done_and_does_nothing(shell: Shell) -> None:
    plan = shell.json("emergency", "--plan")
    assert plan["blocked"] is False
    assert plan["storages"] == ["primary"]
    assert [step.split()[0] for step in plan["steps"]] == ["Read-only", "End", "Dump", "Verify", "Read-only"]
    assert "30 min at the latest" in plan["steps"][-1]
    without = shell.json("emergency", "--plan", "--no-read-only")
    assert [step.split()[0] for step in without["steps"]] == ["Dump", "Verify"]
    assert shell.json("runs") == []


def test_an_emergency_backup_is_made_and_the_database_can_be_written_again(shell: Shell) -> None:
    done = shell.json("emergency", "--yes", "--reason", "the disk fails", "--limit", "5min")
    assert done["run"]["state"] == "finished"
    assert (done["backup"]["type"], done["backup"]["note"]) == ("emergency", "the disk fails")
    assert "_emergency_" in done["backup"]["name"]
    assert shell.json("read-only") == []
    assert can_write(shell.database) is True
    assert setting(shell.database) == []


def test_what_cannot_be_asked_for_is_refused_and_says_what_would_be_right(shell: Shell) -> None:
    for words, said in (
        (["--yes"], "needs a reason"),
        (["--yes", "--reason", "x", "--sessions", "kill"], "end, wait, wait-or-stop"),
        (["--yes", "--reason", "x", "--limit", "5s"], "1min to 1d"),
        (["--yes", "--reason", "x", "--limit", "soon"], "30min"),
        (["--yes", "--reason", "x", "--wait-for", "3h"], "up to an hour"),
        (["--reason", "x"], "--yes"),
    ):
        refused = shell.run("emergency", *words)
        assert refused.exit_code == 2, words
        assert said in refused.stderr, (words, refused.stderr)
    assert shell.run("read-only", "release", "la_factoria").exit_code == 2
    assert shell.run("read-only", "release", "la_factoriaa").exit_code == 2
    assert shell.json("runs") == []


def test_what_a_dead_process_left_is_released_by_the_next_command_that_acts(shell: Shell) -> None:
    installation = open_installation(shell.variables)
    database = installation.settings.databases[0]
    now = installation.clock()
    mode = ReadOnlyMode(
        "m1", database.name, "gone", 1, "elsewhere:1:1", "ada", "why", now, now, None, False, sql_step=True
    )
    with installation.catalog.engine.begin() as connection:
        installation.catalog.read_only_modes.add(mode, connection)
    installation.close()
    with visit(database) as session:
        switch_on(session, None)
    assert can_write(shell.database) is False
    shell.run("status")
    assert can_write(shell.database) is False, "what only looks waits for no server"
    shown = shell.run("create", "--queue")
    assert "Read-only mode" in shown.stderr
    assert can_write(shell.database) is True
