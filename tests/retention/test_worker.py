"""The worker carries out cleanups, and stores the pins that somebody set on a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from services import commands
from services.jobs.worker import run_worker
from tests.retention.lab import Lab

LIMIT = 60.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"waited {LIMIT} s for {what}"
        time.sleep(0.05)


def test_a_worker_cleans_up_what_is_queued_and_stores_pins_beside_their_backups(lab: Lab) -> None:
    lab.daily(12)
    pinned = lab.get("d9")
    commands.set_pin(lab.inst, pinned.id, pinned=True, actor="dashboard", reason="audit")
    run_id = commands.submit_cleanup(lab.inst, database="la_factoria", apply=True, actor="dashboard")
    again = commands.submit_cleanup(lab.inst, apply=False, actor="schedule", idempotency_key="tonight")
    assert commands.submit_cleanup(lab.inst, apply=False, actor="schedule", idempotency_key="tonight") == again
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(lab.inst,), kwargs={"stop": stop})
    worker.start()
    try:
        runs = lab.inst.catalog.runs
        wait_for(lambda: runs.get(run_id).state == runs.get(again).state == "finished", "the two cleanups")
        wait_for(lambda: lab.inst.catalog.pins.waiting() == [], "the pin's mark")
    finally:
        stop.set()
        worker.join(LIMIT)
    assert runs.get(run_id).result["deleted"] == 3
    assert {name for name, state in lab.states().items() if state == "expired"} == {"d8", "d10", "d11"}
    assert "mark-pin.json" in lab.keys(name="d9")
