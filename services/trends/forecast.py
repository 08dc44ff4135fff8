"""A straight line through what was seen, and how far it can be trusted.

The slope is that of Theil and Sen: the median of the slopes between all pairs of points, which a quarter of the points
may be wrong without moving much (breakdown point 29.3 %). Its range is Sen's rank-based confidence interval, as in
R. O. Gilbert, "Statistical Methods for Environmental Pollution Monitoring" (1987), 16.5. The band of a forecast
adds what points scattered about the line: the 5th and 95th percentile of the residuals.

P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63 (1968), 1379–1389.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

ENOUGH_POINTS = 6
ENOUGH_DAYS = 14.0
"""What a line needs at least: fewer points, or a shorter time, say nothing of a trend."""
HORIZON_DAYS = 90.0
CONFIDENCE = 0.9
_MOST_POINTS = 400
"""Pairs grow with the square of the points; of more, every n-th is taken."""


@dataclass(frozen=True)
class Line:
    """``value = level + slope × (day − pivot)``, with the range of its slope and of what scatters about it."""

    pivot: float
    """The median of the days."""
    level: float
    """The line's value on that day."""
    slope: float
    """A day."""
    slope_low: float
    slope_high: float
    scatter_low: float
    """The 5th percentile of the residuals (at most 0)."""
    scatter_high: float
    """The 95th percentile of the residuals (at least 0)."""
    last_day: float

    def through(self, day: float, value: float) -> Line:
        """Return the line with the same slope that goes through a point: for what is there, not what was measured."""
        return replace(self, pivot=day, level=value)

    def at(self, day: float) -> float:
        """Return the line's value."""
        return self.level + self.slope * (day - self.pivot)

    def low(self, day: float) -> float:
        """Return the lower edge of the band on a day after the pivot."""
        return self.level + self.slope_low * (day - self.pivot) + self.scatter_low

    def high(self, day: float) -> float:
        """Return the upper edge of the band on a day after the pivot."""
        return self.level + self.slope_high * (day - self.pivot) + self.scatter_high


def fit_line(days: Sequence[float], values: Sequence[float]) -> Line | None:
    """Given days (as numbers, in order) and their values, return the line; None where they are too few or too close.

    Values that are not finite are left out.
    """
    x, y = np.asarray(days, dtype=float), np.asarray(values, dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) < ENOUGH_POINTS or x[-1] - x[0] < ENOUGH_DAYS:
        return None
    step = math.ceil(len(x) / _MOST_POINTS)
    # From the end, so that the newest point is always in.
    x, y = x[::-1][::step][::-1], y[::-1][::step][::-1]
    slopes = _slopes(x, y)
    slope = float(np.median(slopes))
    low, high = _interval(slopes, len(x))
    pivot = float(np.median(x))
    level = float(np.median(y - slope * (x - pivot)))
    scatter = np.quantile(y - (level + slope * (x - pivot)), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Line(pivot, level, slope, low, high, min(0.0, float(scatter[0])), max(0.0, float(scatter[1])), float(x[-1]))


def days_until(line: Line, room: float) -> tuple[float, float | None, float | None] | None:
    """Return in how many days ``room`` is used up: as expected, at the earliest, at the latest.

    None when the line does not rise. The latest is None where the slope may be none at all.
    """
    if line.slope <= 0:
        return None
    room = max(0.0, room)
    return room / line.slope, room / line.slope_high, room / line.slope_low if line.slope_low > 0 else None


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(len(x), k=1)
    run = x[second] - x[first]
    apart = run > 0
    return np.sort((y[second] - y[first])[apart] / run[apart])


def _interval(slopes: np.ndarray, points: int) -> tuple[float, float]:
    """Return Sen's confidence interval: the slopes at these ranks. Without ties, which hardly move it."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    width = z * math.sqrt(points * (points - 1) * (2 * points + 5) / 18)
    low = max(0, round((len(slopes) - width) / 2))
    high = min(len(slopes) - 1, round((len(slopes) + width) / 2))
    return float(slopes[low]), float(slopes[high])
