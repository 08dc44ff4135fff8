"""Drawing a chart of which a page has many."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from dashboard.theme import Palette

Draw = Callable[[pd.DataFrame, Palette], alt.LayerChart]


def repeated_chart(draw: Draw, frame: pd.DataFrame, colours: Palette, *, key: str, words: str) -> None:
    """Draw ``draw(frame, colours)``, of which only the rows differ from one frame to the next.

    To build and validate a specification costs Altair some 50 ms. With twenty databases that would be a second, so it
    is done once a process for each palette. ``words`` says the chart for those who do not see it.
    """
    spec = _specification(draw, colours, tuple(frame.columns))
    st.vega_lite_chart(frame, spec, theme=None, key=key, alt=words)


@functools.lru_cache(maxsize=16)
def _specification(draw: Draw, colours: Palette, columns: tuple[str, ...]) -> dict[str, Any]:
    spec: dict[str, Any] = draw(pd.DataFrame(columns=list(columns)), colours).to_dict()
    return {name: part for name, part in spec.items() if name not in ("data", "datasets")}
