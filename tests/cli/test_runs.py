"""Runs from the command line: queued, cancelled, interrupted, asked for twice; and what a closed pipe does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from services.postgres.connection import connect
from tests.cli.conftest import Shell
from tests.support.schedules import pause_schedules

BACKUPS = [sys.executable, "-m", "services.cli.main"]
ROOT = Path(__file__).resolve().parents[2]


def _environment(shell: Shell) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(shell.folder), "PYTHONPATH": str(ROOT), **shell.variables}


def _until(what: Callable[[], object], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_queue_leaves_a_run_to_a_worker_and_cancel_stops_it(shell: Shell) -> None:
    queued = shell.run("create", "--queue")
    assert queued.exit_code == 0, queued.stderr
    run_id = queued.stdout.strip()
    assert re.fullmatch(r"[0-9a-z]{20}", run_id)
    assert shell.json("runs", run_id)["state"] == "queued"
    cancelled = shell.run("cancel", run_id)
    assert (cancelled.exit_code, cancelled.stdout.strip()) == (0, "Cancelled.")
    assert shell.json("runs", run_id)["state"] == "cancelled"
    ended = shell.json("create", "--quiet")["run"]["id"]
    late = shell.run("cancel", ended)
    assert late.exit_code == 2
    assert "cannot be cancelled" in late.stderr


def test_a_worker_does_what_is_queued_and_wait_reports_it(shell: Shell) -> None:
    pause_schedules(_environment(shell))
    worker = subprocess.Popen([*BACKUPS, "worker"], env=_environment(shell), cwd=shell.folder, stderr=subprocess.PIPE)
    try:
        done = shell.run("create", "--queue", "--wait", "--json", "--quiet")
        assert done.exit_code == 0, done.stderr
        (run,) = shell.json("runs")
        assert run["state"] == "finished"
        assert f":{worker.pid}:" in run["worker"]
    finally:
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=60)
    assert worker.returncode == 0, errors
    assert b"Traceback" not in errors


def test_the_same_key_starts_nothing_twice(shell: Shell) -> None:
    first = shell.json("create", "--quiet", "--once", "deploy-42")
    second = shell.json("create", "--quiet", "--once", "deploy-42")
    assert second["run"]["id"] == first["run"]["id"]
    assert len(shell.json("list")) == 1


def test_a_second_run_on_the_same_database_is_refused_and_recorded(shell: Shell) -> None:
    with _long_dump(shell) as first:
        busy = shell.run("create")
        assert busy.exit_code == 1
        assert "Another run works on" in busy.stderr
        assert "--queue" in busy.stderr
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 128 + signal.SIGTERM
    assert sorted(run["state"] for run in shell.json("runs")) == ["cancelled", "failed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_backup_is_cancelled_in_order(shell: Shell, number: signal.Signals) -> None:
    with _long_dump(shell) as process:
        process.send_signal(number)
        time.sleep(0.2)
        process.send_signal(number)  # impatience changes nothing
        assert process.wait(60) == 128 + number
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert "Traceback" not in said
    (run,) = shell.json("runs")
    assert run["state"] == "cancelled"
    assert "Cancelled by cli:" in run["error"]
    assert shell.json("list") == []
    stored = [p for p in (shell.folder / "storage").rglob("*") if p.is_file()]
    assert stored == []
    _until(lambda: _sessions(shell) == 0)
    assert shell.create()["state"] == "finished"


def test_a_backup_whose_command_was_killed_does_not_block_the_next(shell: Shell) -> None:
    with _long_dump(shell) as process:
        process.kill()
        process.wait(60)
    backup = shell.create()
    states = {run["id"]: run["state"] for run in shell.json("runs")}
    assert sorted(states.values()) == ["finished", "lost"]
    assert states[backup["run_id"]] == "finished"


def test_a_reader_who_leaves_early_is_no_error(shell: Shell) -> None:
    for number in range(3):
        shell.create("--name", f"b{number}", "--note", "n" * 2000)
    process = subprocess.Popen(
        [*BACKUPS, "list", "--json"],
        env=_environment(shell),
        cwd=shell.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_debug_shows_the_traceback_and_nothing_else_does(shell: Shell) -> None:
    plain = subprocess.run([*BACKUPS, "create", "nosuch"], env=_environment(shell), capture_output=True, text=True)
    assert (plain.returncode, plain.stdout) == (2, "")
    assert "Traceback" not in plain.stderr
    debug = subprocess.run(
        [*BACKUPS, "--debug", "create", "nosuch"], env=_environment(shell), capture_output=True, text=True
    )
    assert debug.returncode != 0
    assert "Traceback" in debug.stderr
    assert "UnknownName" in debug.stderr


class _long_dump:  # noqa: N801 - reads as the with statement that it is
    """A backup in a process of its own, in the middle of its dump: much noise, compressed at the highest level."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def __enter__(self) -> subprocess.Popen[bytes]:
        with connect(self._shell.database) as connection:
            connection.execute(
                "CREATE TABLE big AS SELECT n, (SELECT string_agg(md5(n || '-' || i), '')"
                " FROM generate_series(1, 40) i) AS noise FROM generate_series(1, 30000) n"
            )
        self.process = subprocess.Popen(
            [*BACKUPS, "create", "--compression-level", "19"],
            env=_environment(self._shell),
            cwd=self._shell.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        _until(lambda: _dumping(self._shell) or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
        return self.process

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)
        with connect(self._shell.database) as connection:
            connection.execute("DROP TABLE big")


def _dumping(shell: Shell) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND query LIKE 'COPY public.big%%'"
    with connect(shell.database.with_database("postgres")) as connection:
        row = connection.execute(query, [shell.database.dbname]).fetchone()
    return row is not None and row[0] > 0


def _sessions(shell: Shell) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    with connect(shell.database.with_database("postgres")) as connection:
        row = connection.execute(query, [shell.database.dbname]).fetchone()
    assert row is not None
    return int(row[0])
