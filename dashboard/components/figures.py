"""Numbers side by side, each with what it is measured against below it."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def four_cells() -> list[DeltaGenerator]:
    """Draw a row of four cells, which a phone shows as two rows of two."""
    return [cell for half in st.columns(2) for cell in half.columns(2, wrap=False)]


def figure(cell: DeltaGenerator, label: str, value: str, below: str) -> None:
    """Draw one number in its cell. ``below`` is Markdown, foreign parts escaped."""
    with cell.container(gap=None):
        st.metric(label, value)
        st.markdown(f":small[{below}]")  # a caption would fade a colour in it
