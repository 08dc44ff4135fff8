"""Child programs: told to end, and killed when they do not listen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from services.jobs import processes
from services.jobs.processes import Child, run_child
from tests.support.run_context import RecordingRun

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def cancelled(run: RecordingRun, on_term: str, before: Callable[[int], None] = lambda _pid: None) -> tuple[int, float]:
    """Cancel the run of a shell that does ``on_term`` at SIGTERM; return its status and how long it took to end."""
    script = f"trap '{on_term}' TERM; echo ready; while :; do sleep 0.05; done"
    with run_child(["/bin/sh", "-c", script], environment=ENVIRONMENT, run=run, stdout=True) as child:
        assert child.stdout.read(6) == b"ready\n"
        before(child.pid)
        began = time.monotonic()
        run.cancel()
        return child.wait(30), time.monotonic() - began


def test_a_child_may_clean_up_when_the_run_is_cancelled() -> None:
    run = RecordingRun()
    status, seconds = cancelled(run, "echo cleaned >&2; exit 3")
    assert status == 3
    assert ("warning", "sh: cleaned") in run.lines  # beside what the shell may say of its own child
    assert seconds < processes.GRACE_SECONDS


def test_a_child_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    status, seconds = cancelled(RecordingRun(), "")
    assert status == -signal.SIGKILL
    assert seconds >= 0.3


def test_a_child_that_stands_still_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    status, _ = cancelled(RecordingRun(), "exit 3", lambda pid: psutil.Process(pid).suspend())
    assert status == -signal.SIGKILL


def test_ending_a_child_twice_ends_it_once() -> None:
    children: list[Child] = []
    run = RecordingRun()
    with run_child(["/bin/sleep", "600"], environment=ENVIRONMENT, run=run) as child:
        children.append(child)
        child.kill()
        child.kill()
        assert child.wait(30) == -signal.SIGTERM
    children[0].kill()
    assert run.leftovers == []
