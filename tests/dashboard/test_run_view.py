"""How far a run is, and what is said of one that did not finish."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dashboard.components.run_view import fraction, next_action, remaining_seconds, step_words
from services.catalog.model import Run

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
    assert step_words(waiting, NOW) == "waiting for the worker since 1 min ago"


def test_every_kind_of_run_has_a_next_action() -> None:
    for kind in ("backup", "verification", "restore_test", "restore", "adopt", "janitor"):
        assert next_action(replace(RUN, kind=kind, state="failed"))  # type: ignore[arg-type]
