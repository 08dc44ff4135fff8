"""How far a run is, and what is said of one that did not finish."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import services.backups.create
from dashboard.components.run_view import (
    STEPS,
    fraction,
    made_backup,
    next_action,
    remaining_seconds,
    step_strip,
    step_words,
    steps_of,
)
from dashboard.theme import run_outcome
from services.catalog.model import Run
from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.words import writes_of

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUN = Run(
    "r", "backup", "orders", None, "running", "dashboard", "", {}, NOW, started_at=NOW - timedelta(seconds=5),
    phase="dumping", phase_started_at=NOW - timedelta(seconds=4), bytes_done=20_000_000, bytes_total=50_000_000,
    expected_seconds=14.0,
)  # fmt: skip


def test_progress_has_share_bytes_rate_and_time_left() -> None:
    assert step_words(RUN, NOW) == "dumping · 40 % · 20.0 MB of about 50.0 MB · 5.00 MB/s · about 9.0 s left"


def test_without_history_the_time_left_follows_from_the_rate() -> None:
    assert remaining_seconds(replace(RUN, expected_seconds=None), NOW) == 6.0
    assert remaining_seconds(replace(RUN, expected_seconds=None, bytes_done=0), NOW) is None
    assert remaining_seconds(replace(RUN, started_at=None), NOW) is None


def test_an_expectation_that_was_exceeded_shows_neither_more_than_all_nor_negative_time() -> None:
    over = replace(RUN, bytes_done=60_000_000, started_at=NOW - timedelta(seconds=60))
    assert fraction(over) == 1.0
    assert remaining_seconds(over, NOW) == 0.0
    assert "left" not in step_words(over, NOW)


def test_without_an_expectation_no_share_is_made_up() -> None:
    unknown = replace(RUN, bytes_total=None, expected_seconds=None)
    assert fraction(unknown) is None
    assert "%" not in step_words(unknown, NOW)


def test_a_queued_run_says_that_it_waits() -> None:
    waiting = replace(RUN, state="queued", queued_at=NOW - timedelta(seconds=90))
    assert step_words(waiting, NOW) == "waiting for the worker for 1 min"


def test_every_kind_of_run_has_a_next_action() -> None:
    for kind in ("backup", "verification", "restore_test", "restore", "adopt", "janitor"):
        assert next_action(replace(RUN, kind=kind, state="failed"))


def test_what_a_failed_run_left_is_said_by_what_it_recorded() -> None:
    failed = replace(RUN, state="failed")
    assert "half-stored has been removed" in next_action(failed)
    assert "half-stored" not in next_action(replace(failed, backup_id="b"))
    assert "stays stored" in next_action(replace(failed, backup_id="b"))
    assert "removed" not in next_action(replace(failed, state="lost")), "what is left of a lost run is in its hint"
    assert not made_backup(replace(failed, kind="restore_test", backup_id="b")), "that backup was there before"


def test_the_steps_of_a_backup_are_the_phases_that_the_service_names() -> None:
    folder = Path(services.backups.create.__file__).parent
    source = "".join((folder / f"{name}.py").read_text() for name in ("create", "fingerprint_beside", "parallel"))
    named = set(re.findall(r'run\.phase\("([^"]+)"', source))
    stream, parallel = (steps_of(replace(RUN, kind="backup", params={"jobs": jobs})) for jobs in (None, 2))
    assert stream == STEPS["backup"]
    assert parallel is not None
    assert named == {phase for phase, _ in parallel if phase != "verifying"}


EMERGENCY = replace(RUN, attempt=1, params={"type": "emergency", "emergency": {"read_only": True}})
HELD = ReadOnlyMode(
    "m", "orders", "r", 1, "host:1:1", "ada", "disk errors", NOW, NOW + timedelta(minutes=30), None, False, True
)
RELEASED = replace(HELD, sql_step=False, released_at=NOW, released_by="the guardian, since its process is gone")


@pytest.mark.parametrize(
    ("run", "mode", "green", "said"),
    [
        ({}, HELD, True, ""),
        ({"phase": "checking"}, HELD, True, ""),
        ({"attempt": 2}, RELEASED, False, "Attempt 2 backs up without it."),
        ({}, RELEASED, False, "New sessions can write. The backup goes on without it."),
        ({}, replace(RELEASED, released_by="its run"), False, ""),
        ({}, None, False, "made without it"),
        ({"phase": "switching to read-only mode"}, None, False, ""),
        ({"state": "cancelled"}, RELEASED, False, "allowed again since 22 Nov 12:00:00 UTC: released by the guardian"),
        ({"state": "failed"}, replace(RELEASED, already_read_only=True), False, "was read-only before"),
        ({"state": "failed"}, HELD, True, "not released yet"),
        ({"state": "failed"}, None, False, "not switched on"),
    ],
)
def test_an_emergency_says_whether_writes_are_allowed_now(
    run: dict[str, object], mode: ReadOnlyMode | None, green: bool, said: str
) -> None:
    emergency = replace(EMERGENCY, **run)  # type: ignore[arg-type]
    writes = writes_of(emergency, [mode] if mode else [])
    strip = step_strip(emergency, writes)
    assert (":green[:material/check_circle:\u00a0read-only\u00a0on]" in strip) == green
    assert said in writes.said
    assert bool(said) == bool(writes.said)
    assert ("not\u00a0read-only" in strip) == (not writes.is_held)


@pytest.mark.parametrize(
    ("result", "word", "tone"),
    [({}, "finished", "green"), ({"outcome": "passed"}, "passed", "green"), ({"outcome": "failed"}, "failed", "red"),
     ({"outcome": "not testable"}, "not testable", "gray"), ({"outcome": "not compared"}, "not compared", "gray"),
     ({"outcome": "a word of a later version"}, "a word of a later version", "gray")],
)  # fmt: skip
def test_a_finished_check_is_called_by_what_it_found(result: dict[str, str], word: str, tone: str) -> None:
    said, mark = run_outcome(replace(RUN, state="finished", result=result))
    assert (said, mark.tone) == (word, tone)


def test_a_run_that_did_not_finish_is_called_by_its_state_whatever_its_result() -> None:
    for state in ("failed", "lost", "cancelled", "running", "queued"):
        assert run_outcome(replace(RUN, state=state, result={"outcome": "passed"}))[0] == state
