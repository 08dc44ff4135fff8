"""Columns as wide as what is in them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.fitted import CHARACTER, WIDEST, column_width, fitted
from dashboard.frames import in_words


def test_no_number_and_no_text_is_wider_than_its_column_in_whatever_row_it_stands() -> None:
    frame = pd.DataFrame(
        {"Rows": [None] * 50 + [3_760_190_123_456], "By": ["cli"] * 50 + ["somebody@la-factoria.example"], "At": "x"}
    ).astype({"Rows": "Int64"})
    made = fitted(in_words(frame, sizes=["Rows"]), {"Rows": st.column_config.NumberColumn(format="localized")})
    assert made["Rows"]["width"] > len("3,760,190,123,456") * CHARACTER
    assert made["Rows"]["type_config"] == {"type": "number", **made["Rows"]["type_config"]}
    assert made["By"]["width"] > len("somebody@la-factoria.example") * CHARACTER
    assert column_width(frame["At"]) == 60, "not narrower than a word"


def test_a_width_that_is_set_and_a_hidden_column_stay_and_lists_keep_the_browsers() -> None:
    frame = pd.DataFrame({"id": ["x"], "Name": ["y" * 400], "Note": ["z" * 4000], "Kept by": [["a", "b"]]})
    made = fitted(frame, {"id": None, "Name": st.column_config.TextColumn(width=270)})
    assert made["id"] is None
    assert made["Name"]["width"] == 270
    assert made["Note"]["width"] == WIDEST
    assert "Kept by" not in made
