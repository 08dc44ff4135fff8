"""The strip of days: a month of one database at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, time

import altair as alt
import pandas as pd

from dashboard.charts.spec import Rows
from dashboard.slot_frames import slot_count_words
from dashboard.theme import Palette
from services.catalog.summaries import Day

STRIP_COLUMNS = ("day", "state", "good", "partial", "failed", "tests_passed", "words", "top")
_HEIGHTS = {"satisfied": 1.0, "good": 1.0, "late": 0.5, "partial": 0.5}
_FULL, _HALF = ["satisfied", "good"], ["late", "partial"]


def strip_frame(days: Iterable[Day]) -> pd.DataFrame:
    """Given a month of days, return the strip's rows.

    Columns: ``day`` (timestamp at UTC midnight), ``state`` (of the day's slots: satisfied, late, missed, open; of a day
    without slots: good, partial, failed, none), the counts ``good``, ``partial``, ``failed`` and ``tests_passed``,
    ``words`` (the tooltip), and ``top`` (height of the day's bar, 0–1).
    """
    rows = [
        (
            datetime.combine(day.day, time()), day.state, day.good, day.partial, day.failed, day.tests_passed,
            _words(day), _HEIGHTS.get(day.state, 0.0),
        )
        for day in days
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(STRIP_COLUMNS))


def day_strip(frame: Rows, colours: Palette) -> alt.LayerChart:
    """Given ``strip_frame``'s rows, draw one mark a day.

    Each state has a silhouette of its own, so that colour is not needed to read it: a full bar (satisfied, good), half
    a bar (late, partial), a cross (missed, failed), a hollow square (open), a low line (none); a diamond above it is a
    passed restore test. The marks are hidden from screen readers: the page describes the strip as a whole
    (``strip_words``).
    """
    x = alt.X("utcyearmonthdate(day):O", axis=None, scale=alt.Scale(paddingInner=0.18, paddingOuter=0))
    tooltip = [
        alt.Tooltip("utcyearmonthdate(day):T", title="Day (UTC)", format="%a %d %b %Y"),
        alt.Tooltip("words:N", title=" "),
    ]
    height = alt.Scale(domain=[0, 1.45])
    bars = (
        alt.Chart(frame)
        .transform_filter("datum.top > 0")
        .mark_bar(cornerRadius=1.5, aria=False)
        .encode(
            x=x,
            y=alt.Y("top:Q", axis=None, scale=height),
            color=alt.Color(
                "state:N",
                legend=None,
                scale=alt.Scale(domain=[*_FULL, *_HALF], range=[colours.ok] * 2 + [colours.warning] * 2),
            ),
            tooltip=tooltip,
        )
    )
    bad = "datum.state === 'missed' || datum.state === 'failed'"
    crosses = _points(frame, bad, 0.5, x, height, tooltip).mark_point(
        aria=False, shape="cross", angle=45, size=110, filled=True, color=colours.failure, opacity=1
    )
    lines = _points(frame, "datum.state === 'none'", 0.06, x, height, tooltip).mark_point(
        aria=False, shape="stroke", size=60, strokeWidth=2.5, color=colours.idle, opacity=0.7
    )
    squares = _points(frame, "datum.state === 'open'", 0.3, x, height, tooltip).mark_point(
        aria=False, shape="square", size=70, filled=False, strokeWidth=1.6, color=colours.running, opacity=1
    )
    tests = _points(frame, "datum.tests_passed > 0", 1.28, x, height, tooltip).mark_point(
        aria=False, shape="diamond", size=60, filled=True, color=colours.running, opacity=1
    )
    chart = alt.layer(bars, crosses, lines, squares, tests).resolve_scale(color="independent")
    return chart.properties(height=44, padding={"left": 0, "right": 0, "top": 0, "bottom": 0}).configure_view(
        strokeWidth=0
    )


def strip_words(frame: pd.DataFrame) -> str:
    """Say the strip in words, for those who do not see it."""
    counts = Counter(frame["state"])
    due = sum(counts.get(state, 0) for state in ("satisfied", "late", "missed"))
    parts = [f"{counts.get('satisfied', 0)} of {due} days with every slot satisfied"] if due else []
    parts += [f"{counts[state]} {state}" for state in ("late", "missed", "open") if counts.get(state)]
    others = len(frame) - due - counts.get("open", 0)
    if others or not parts:
        of = "days without a slot had" if parts else "days with"
        parts.append(f"{counts.get('good', 0)} of {others} {of} a good backup")
        words = {"partial": "with a partial one only", "failed": "on which it failed", "none": "without"}
        parts += [f"{counts[state]} {said}" for state, said in words.items() if counts.get(state)]
    tests = int(frame["tests_passed"].sum()) if len(frame) else 0
    parts.append(f"{tests} restore {'test' if tests == 1 else 'tests'} passed")
    return " · ".join(parts)


def _points(frame: Rows, keep: str, at: float, x: alt.X, height: alt.Scale, tooltip: list[alt.Tooltip]) -> alt.Chart:
    y = alt.Y("at:Q", axis=None, scale=height)
    return alt.Chart(frame).transform_filter(keep).transform_calculate(at=str(at)).encode(x=x, y=y, tooltip=tooltip)


def _words(day: Day) -> str:
    said = slot_count_words(day.slots) if day.slots else []
    if day.good:
        said.append(f"{day.good} good")
    if day.partial:
        said.append(f"{day.partial} partial")
    if day.failed:
        said.append(f"{day.failed} failed")
    if day.tests_passed:
        said.append(f"{day.tests_passed} restore test passed")
    if day.tests_failed:
        said.append(f"{day.tests_failed} restore test failed")
    return " · ".join(said) or "no backup"
