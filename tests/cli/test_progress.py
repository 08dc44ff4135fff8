from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from services.catalog.model import LogLine, Run
from services.cli.progress import BarView, LineView, pace

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
RUN = Run(
    id="r",
    kind="backup",
    database="la_factoria",
    backup_id=None,
    state="running",
    actor="a",
    reason="",
    params={},
    queued_at=NOW,
    started_at=NOW,
    phase="dumping",
    phase_started_at=NOW,
)


@pytest.mark.parametrize(
    "changes, after, words",
    [
        ({"bytes_done": 0}, 5, ""),
        ({"bytes_done": 50 * 10**6}, 5, "50.0 MB · 10.0 MB/s"),
        ({"bytes_done": 50 * 10**6, "bytes_total": 200 * 10**6}, 5, "50.0 MB of 200 MB · 10.0 MB/s · 15 s left"),
        ({"bytes_done": 50 * 10**6, "bytes_total": 40 * 10**6}, 5, "50.0 MB · 10.0 MB/s"),
        ({"bytes_done": 0, "expected_seconds": 60.0}, 5, "55 s left"),
        ({"bytes_done": 0, "expected_seconds": 60.0}, 90, ""),
        ({"bytes_done": 10**6, "bytes_total": 2 * 10**6}, 0, "1.00 MB of 2.00 MB"),
    ],
)
def test_the_pace_is_said_in_bytes_rate_and_time_left(changes: dict[str, Any], after: int, words: str) -> None:
    assert pace(replace(RUN, **changes), NOW + timedelta(seconds=after)).words == words


def test_lines_repeat_the_pace_every_ten_seconds_and_every_log_line_once() -> None:
    written = io.StringIO()
    view = LineView(Console(file=written, width=100))
    line = LogLine(NOW, "info", "Dumping [bold]\x1b[2J.")
    for second in range(25):
        run = replace(RUN, bytes_done=second * 10**6)
        view.update(run, [line] if second == 0 else [], NOW + timedelta(seconds=second))
    assert written.getvalue().splitlines() == [
        "2026-11-22 02:00:00 Dumping [bold]\\x1b[2J.",
        "2026-11-22 02:00:10 dumping: 10.0 MB · 1.00 MB/s",
        "2026-11-22 02:00:20 dumping: 20.0 MB · 1.00 MB/s",
    ]


def test_a_terminal_gets_a_bar_with_the_log_above_it() -> None:
    written = io.StringIO()
    with BarView(Console(file=written, width=100, force_terminal=True)) as view:
        run = replace(RUN, bytes_done=50 * 10**6, bytes_total=200 * 10**6)
        view.update(run, [LogLine(NOW, "warning", "Slow \x1b]0;owned\x07 storage.")], NOW + timedelta(seconds=5))
    assert "Slow \\x1b]0;owned\\x07 storage." in written.getvalue()
    assert "50.0 MB of 200 MB" in written.getvalue()
    assert "\x1b]0;owned" not in written.getvalue()
