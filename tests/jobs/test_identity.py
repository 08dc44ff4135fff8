"""Who is dead: told by this machine's processes and by silence, never by comparing two clocks."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta

import psutil

from services.catalog.model import Run
from services.jobs.identity import DeathWatch, process_identity
from tests.catalog.rows import NOW


def running(worker: str, heartbeat_at: datetime = NOW) -> Run:
    return Run("r", "backup", "d", None, "running", "a", "", {}, NOW, NOW, None, heartbeat_at, 1, worker)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_process_of_this_machine_that_is_gone_is_dead_at_once() -> None:
    child = subprocess.Popen(["sleep", "60"])
    start = psutil.Process(child.pid).create_time()
    host = process_identity().rsplit(":", 2)[0]
    run = running(f"{host}:{child.pid}:{int(start)}")
    assert not DeathWatch().is_dead(run)
    child.kill()
    child.wait()
    assert DeathWatch().is_dead(run)


def test_another_process_with_the_same_pid_is_not_the_worker() -> None:
    host, pid, start = process_identity().rsplit(":", 2)
    assert DeathWatch().is_dead(running(f"{host}:{pid}:{int(start) - 500}"))


def test_silence_counts_from_when_it_was_first_seen_by_our_own_clock() -> None:
    clock = Clock()
    watch = DeathWatch(clock=clock)
    for hours_off in (-5, 0, 5):  # however wrong the other machine's clock is
        run = running(f"elsewhere:{hours_off + 10}:1", NOW + timedelta(hours=hours_off))
        assert not watch.is_dead(run)
        clock.now += 29
        assert not watch.is_dead(run)
        clock.now += 2
        assert watch.is_dead(run)


def test_a_heart_that_beats_is_alive_for_ever() -> None:
    clock = Clock()
    watch = DeathWatch(clock=clock)
    for beat in range(100):
        assert not watch.is_dead(running("elsewhere:1:1", NOW + timedelta(seconds=beat)))
        clock.now += 20


def test_a_run_of_this_very_process_is_never_dead() -> None:
    clock = Clock()
    watch = DeathWatch(active_here=lambda: ["r"], clock=clock)
    run = running(process_identity())
    assert not watch.is_dead(run)
    clock.now += 3600
    assert not watch.is_dead(run)
