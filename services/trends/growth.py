"""How fast databases and their backups grow, and what they will be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from services.trends.forecast import HORIZON_DAYS, Line, fit_line

Measure = Literal["database_bytes", "stored_bytes"]
MEASURES: tuple[Measure, ...] = ("database_bytes", "stored_bytes")


@dataclass(frozen=True)
class Growth:
    """The trend of one database's size, or of its stored backups'."""

    database: str
    measure: Measure
    now: float
    """The newest value, in bytes."""
    line: Line | None
    """In bytes by day (days since 1970-01-01); None where too little is known."""

    @property
    def bytes_per_day(self) -> float | None:
        return None if self.line is None else self.line.slope

    @property
    def expected(self) -> tuple[float, float, float] | None:
        """Return what is expected HORIZON_DAYS after the newest point, at the least and at the most; bytes."""
        if self.line is None:
            return None
        day = self.line.last_day + HORIZON_DAYS
        return max(0.0, self.line.at(day)), max(0.0, self.line.low(day)), max(0.0, self.line.high(day))


def load_growth(points: pd.DataFrame) -> tuple[Growth, ...]:
    """Given ``services.trends.points``, return the trend of each database's two sizes."""
    found = []
    for database, its in points.groupby("database", sort=True):
        days = epoch_days(its["at"])
        for measure in MEASURES:
            values = its[measure].tolist()
            found.append(Growth(str(database), measure, values[-1], fit_line(days, values)))
    return tuple(found)


def epoch_days(at: Iterable[pd.Timestamp]) -> list[float]:
    """Return instants as days since 1970-01-01."""
    return [moment.timestamp() / 86400 for moment in at]
