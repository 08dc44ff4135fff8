"""Tables read as the rest of the page does, and still sort as numbers."""

from __future__ import annotations

import pandas as pd

from dashboard.format import NOTHING
from dashboard.frames import in_words


def test_sizes_and_durations_of_a_table_read_as_everywhere_else_and_stay_numbers() -> None:
    frame = pd.DataFrame({"Size": [8_810_000, None], "Took": [0.01, 64.0], "Name": ["one", "two"]})
    styled = in_words(frame, sizes=["Size"], durations=["Took"])
    shown = styled.hide(axis="index").to_string(delimiter="|")
    assert shown.splitlines() == ["Size|Took|Name", "8.81 MB|under 0.1 s|one", f"{NOTHING}|1 min 04 s|two"]
    assert list(styled.data["Took"]) == [0.01, 64.0]
