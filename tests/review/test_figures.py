"""Comparisons: their words, and a tone that is honest."""

from __future__ import annotations

import pytest

from services.review.figures import AMOUNT, COUNT, DURATION, SHARE, SIZE, Better, Kind, compare, make_figure


@pytest.mark.parametrize(
    "kind, now, before, better, words, tone",
    [
        (DURATION, 112.0, 100.0, "less", "12 % longer than last week", "worse"),
        (DURATION, 88.0, 100.0, "less", "12 % shorter than last week", "better"),
        (DURATION, 104.0, 100.0, "less", "about as long as last week", "same"),
        (DURATION, 1.6, 0.8, "less", "about as long as last week", "same"),  # under a second says nothing
        (DURATION, 240.0, 100.0, "less", "2.4 times as long as last week", "worse"),
        (DURATION, 5.0, 0.0, "less", "5.0 s more than last week", "worse"),
        (SIZE, 107e6, 100e6, "neither", "7 % larger than last week", "changed"),
        (SIZE, 60e6, 100e6, "neither", "40 % smaller than last week", "changed"),
        (SIZE, 100.4e6, 100e6, "neither", "about the same as last week", "same"),
        (AMOUNT, 150e6, 100e6, "neither", "50 % more than last week", "changed"),
        (AMOUNT, 5e6, 0.0, "neither", "5.00 MB more than last week", "changed"),
        (AMOUNT, 0.0, 5e6, "neither", "100 % less than last week", "changed"),
        (COUNT, 5, 2, "less", "3 more than last week", "worse"),
        (COUNT, 2, 5, "less", "3 fewer than last week", "better"),
        (COUNT, 0, 0, "less", "as many as last week", "same"),
        (COUNT, 3, 2, "neither", "1 more than last week", "changed"),
        (SHARE, 92.9, 100.0, "more", "7.1 points lower than last week", "worse"),
        (SHARE, 99.0, 98.0, "more", "1 point higher than last week", "better"),
        (SHARE, 100.0, 100.0, "more", "the same as last week", "same"),
        (DURATION, 5.0, None, "less", "nothing to compare", "nothing"),
        (DURATION, None, 5.0, "less", "nothing to compare", "nothing"),
    ],
)
def test_a_comparison_is_said_in_words_with_an_honest_tone(
    kind: Kind, now: float | None, before: float | None, better: Better, words: str, tone: str
) -> None:
    found = compare(kind, now, before, "last week", better=better)
    assert (found.words, found.tone) == (words, tone)


def test_the_mean_is_of_the_weeks_that_have_a_value() -> None:
    figure = make_figure("d", "Duration", DURATION, [None, None, 60.0, 120.0, 90.0], better="less")
    assert (figure.mean, figure.mean_of, figure.mean_text) == (90.0, 2, "1 min 30 s")
    assert figure.against_mean.words == "about as long as the mean of 2 weeks"
    one = make_figure("d", "Duration", DURATION, [None, None, None, 60.0, 90.0], better="less")
    assert one.against_mean.words == "50 % longer than the only week before"
    none = make_figure("d", "Duration", DURATION, [None] * 4 + [90.0], better="less")
    assert (none.mean, none.mean_text, none.against_mean.tone) == (None, "–", "nothing")


def test_a_figure_without_five_weeks_is_refused() -> None:
    with pytest.raises(ValueError, match="5 values"):
        make_figure("d", "Duration", DURATION, [1.0], better="less")


@pytest.mark.parametrize(
    "value, text", [(100.0, "100 %"), (99.95, "over 99.9 %"), (92.857, "92.9 %"), (0.0, "0 %"), (0.02, "under 0.1 %")]
)
def test_a_share_is_never_all_before_it_is_all_nor_nothing_before_it_is_nothing(value: float, text: str) -> None:
    assert SHARE.write(value) == text
