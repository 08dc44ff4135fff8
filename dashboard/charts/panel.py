"""One chart with everything around it: its title, its words, its table for export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from dashboard.charts.spec import Maker


@dataclass(frozen=True)
class Panel:
    """One chart of a page."""

    key: str
    """Short and unique; the name of its files."""
    title: str
    words: str
    """What it says in words, with its thresholds, for those who do not see it."""
    caption: str
    """What stands below it."""
    make: Maker
    rows: pd.DataFrame
    options: tuple[Any, ...]
    """What the maker takes after rows and palette."""
    table: pd.DataFrame
    """What is shown, in whole units, for CSV."""
    leads: bool = False
    """Whether a click on a point leads to a backup."""
    empty: bool = False
    """Whether there is nothing to draw: its words stand where the chart would."""
    wide: bool = False
    """Whether it wants a row of its own."""
