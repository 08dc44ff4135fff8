"""The bar of the recovery windows and the charts of the log, by their specifications and words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest

from dashboard.charts.export import chart_svg
from dashboard.charts.recovery_window import ROW, recovery_bar
from dashboard.charts.spec import chart_spec
from dashboard.charts.wal import wal_panels
from dashboard.point_frames import window_frame, window_words
from dashboard.theme import LIGHT
from services.catalog.wal_samples import SampledSpan, WalSample
from services.pitr.gaps import Gap
from services.pitr.log_history import LogHistory, log_points
from services.pitr.reach import Reach
from services.pitr.window import Window

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SIZE = 1 << 20
GAP = Gap(1, 5, 6, SIZE, NOW - 8 * HOUR, NOW - 6 * HOUR)
LAST = Window(NOW - 5 * HOUR, NOW - timedelta(minutes=1), 2, 9 * SIZE, 12 * SIZE, SIZE)
EARLIER = Window(NOW - 10 * HOUR, NOW - 8 * HOUR, 1, SIZE, 5 * SIZE, SIZE, (GAP,))


def reach(*windows: Window, gaps: tuple[Gap, ...] = (), delay: timedelta = timedelta(0), error: str = "") -> Reach:
    sample = WalSample("orders", NOW, 10**9, 10**9 - 10**6, NOW - delay, 10**6)
    return Reach("orders", NOW, (), 0, windows, gaps, 9, 10**6, sample, timedelta(minutes=15), "r2", error=error)


def test_the_bar_has_a_row_a_timeline_and_says_windows_and_gaps_in_words() -> None:
    seen = reach(EARLIER, LAST, gaps=(GAP,))
    frame = window_frame(seen)
    assert list(zip(frame["kind"], frame["timeline"], strict=True)) == [
        ("window", "timeline 1"), ("gap", "timeline 1"), ("window", "timeline 2"),
    ]  # fmt: skip
    spec = recovery_bar(frame, NOW - 12 * HOUR, NOW, LIGHT).to_dict()
    assert spec["height"] == 2 * ROW
    shapes = [layer["mark"].get("shape") for layer in spec["layer"]]
    assert sum(shape is not None for shape in shapes) == 2, "a gap and a base backup have silhouettes of their own"
    assert str(GAP) in window_words(seen)


def test_the_verdict_is_about_the_newest_window_and_what_is_in_the_way() -> None:
    assert reach(LAST).verdict[0] == "ok"
    severity, words = reach(EARLIER, LAST, gaps=(GAP,)).verdict
    assert severity == "warning"
    assert words.startswith(
        "Any instant from 2026-11-22 07:00:00 UTC to 2026-11-22 11:59:00 UTC can be restored; a gap"
    )
    severity, words = reach(EARLIER, gaps=(GAP,)).verdict
    assert severity == "failure"
    assert words == f"Nothing after 2026-11-22 04:00:00 UTC can be restored: {GAP} is missing."
    assert reach(LAST, delay=HOUR).verdict[0] == "warning"
    assert reach().verdict == (
        "failure", "Nothing can be restored to a point in time: there is no sound base backup."
    )  # fmt: skip
    assert reach(error="away").verdict[0] == "unknown"


def test_the_rate_is_that_between_two_looks_that_could_tell_and_none_after_the_server_was_set_back() -> None:
    first = SampledSpan(NOW - 3 * HOUR, 3600, 0, timedelta(0), None, 0, 1, 0)
    away = replace(first, at=NOW - 2 * HOUR, current_lsn=None, lag_bytes=None, delay=None, failed=1)
    third = replace(first, at=NOW - HOUR, current_lsn=3600 + 7200 * 50, delay=timedelta(minutes=20))
    back = replace(first, at=NOW, current_lsn=10)
    points = log_points([first, away, third, back])
    assert [point.bytes_per_second for point in points] == [None, None, 50.0, None]
    rate, delay = wal_panels(LogHistory(NOW - 4 * HOUR, NOW, points, timedelta(minutes=15)))
    assert rate.words == "now 50 B/s · average 50 B/s · most 50 B/s"
    assert delay.words == "now none · most 20 min 00 s · over the RPO 15 min in 1 of 3"
    assert "1 look failed" in delay.caption
    (limit,) = delay.rows[delay.rows["kind"] == "limit"].itertuples()
    assert (limit.value, limit.label) == (15.0, "RPO 15 min")
    chart_spec(rate.make, LIGHT, *rate.options)  # Vega-Lite's schema takes it


def test_the_axis_has_hours_of_24_in_utc_and_a_quiet_server_no_axis_of_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    looks = [SampledSpan(NOW - n * HOUR, 3600, 0, timedelta(0), None, 0, 1, 0) for n in range(23, 0, -1)]
    rate, _ = wal_panels(LogHistory(NOW - 24 * HOUR, NOW, log_points(looks), timedelta(minutes=15)))
    svg = chart_svg(rate.make, rate.rows, *rate.options)
    texts = {text.text for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {"15:00", "22 Nov", "09:00"} <= texts
    assert not {text for text in texts if text and ("PM" in text or "0.0000" in text)}
    assert (rate.empty, rate.words) == (False, "now 0 B/s · average 0 B/s · most 0 B/s")


def test_what_nobody_could_tell_is_said_rather_than_drawn() -> None:
    away = SampledSpan(NOW - HOUR, None, None, None, None, 0, 1, 1)
    rate, delay = wal_panels(LogHistory(NOW - 4 * HOUR, NOW, log_points([away]), timedelta(minutes=15)))
    assert rate.empty
    assert delay.empty
    assert "nobody could tell" in delay.words


def test_without_samples_there_is_no_chart() -> None:
    assert wal_panels(LogHistory(NOW - HOUR, NOW, (), timedelta(minutes=15))) == []
