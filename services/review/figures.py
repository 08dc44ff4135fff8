"""A figure of the week against last week's and the mean of the four weeks before: in words, and with an honest tone.

Longer, failed, missed and alerted are worse; a size that grows is neither better nor worse; and where a week is not on
record there is nothing to compare, which is not the same as zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from services.review.week import BEFORE
from services.units import format_bytes, format_duration

Tone = Literal["better", "worse", "same", "changed", "nothing"]
"""``changed``: different, and neither better nor worse. ``nothing``: there is nothing to compare with."""
Unit = Literal["%", "s", "B", ""]
"""Percent, seconds, bytes, a plain count."""
Better = Literal["more", "less", "neither"]
NOTHING = "–"
"""Shown where there is no value; never 0, which is one."""
_TIMES = 2.0
"""From this ratio on "2.4 times as long" says more than "140 % longer"."""


@dataclass(frozen=True)
class Comparison:
    """How this week's value stands against another one."""

    short: str
    """Where it is clear with what it is compared: ``12 % longer``."""
    words: str
    """``12 % longer than last week``."""
    tone: Tone


@dataclass(frozen=True)
class Figure:
    """One figure: its values of the four weeks before and of this week."""

    key: str
    label: str
    unit: Unit
    values: tuple[float | None, ...]
    """Five, the oldest first, this week's last; None where there is none, or the week is not on record."""
    text: str
    """This week's value with its unit."""
    last_text: str
    mean_text: str
    against_last: Comparison
    against_mean: Comparison

    @property
    def value(self) -> float | None:
        return self.values[-1]

    @property
    def last(self) -> float | None:
        return self.values[-2]

    @property
    def mean(self) -> float | None:
        """Of the weeks before that have a value, at most four."""
        known = _known(self.values)
        return sum(known) / len(known) if known else None

    @property
    def mean_of(self) -> int:
        """How many weeks the mean is of."""
        return len(_known(self.values))


@dataclass(frozen=True)
class Kind:
    """How figures of a unit are written and compared."""

    unit: Unit
    write: Callable[[float], str]
    more: str
    less: str
    as_much: str
    """``as long`` for "2.4 times as long as last week"; empty where differences are said, not ratios."""
    near: float
    """A relative difference below this counts as the same."""
    near_by: float = 0.0
    """So does an absolute one below this."""


def write_count(value: float) -> str:
    """Return a count, or a mean of counts: ``7``, ``1,234``, ``6.5``."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def write_percent(value: float) -> str:
    """Return a share without false precision: never 100 before it is all, nor 0 before it is nothing."""
    if 99.9 < value < 100:
        return "over 99.9 %"
    if 0 < value < 0.1:
        return "under 0.1 %"
    return f"{value:.0f} %" if float(value).is_integer() else f"{value:.1f} %"


DURATION = Kind("s", format_duration, "longer", "shorter", "as long", near=0.05, near_by=1.0)
SIZE = Kind("B", format_bytes, "larger", "smaller", "as large", near=0.01)
AMOUNT = Kind("B", format_bytes, "more", "less", "as much", near=0.01)
COUNT = Kind("", write_count, "more", "fewer", "", near=0.0, near_by=0.05)
SHARE = Kind("%", write_percent, "higher", "lower", "", near=0.0, near_by=0.05)


def make_figure(
    key: str,
    label: str,
    kind: Kind,
    values: Sequence[float | None],
    *,
    better: Better,
    text: str | None = None,
    last_text: str | None = None,
) -> Figure:
    """Given the values of the four weeks before and of this week, the oldest first, return the figure.

    ``text`` and ``last_text`` stand for how the values are written otherwise: ``6 of 7`` for a share.
    """
    if len(values) != BEFORE + 1:
        raise ValueError(f"a figure has {BEFORE + 1} values")
    known = _known(values)
    mean = sum(known) / len(known) if known else None
    now, last = values[-1], values[-2]
    return Figure(
        key=key,
        label=label,
        unit=kind.unit,
        values=tuple(values),
        text=text or _write(kind, now),
        last_text=last_text or _write(kind, last),
        mean_text=_write(kind, mean),
        against_last=compare(kind, now, last, "last week", better=better),
        against_mean=compare(kind, now, mean, _mean_words(len(known)), better=better),
    )


def compare(kind: Kind, now: float | None, before: float | None, what: str, *, better: Better) -> Comparison:
    """Say how a value stands against an earlier one, which ``what`` names: ``last week``."""
    if now is None or before is None:
        return Comparison("nothing to compare", "nothing to compare", "nothing")
    difference = now - before
    if abs(difference) <= kind.near_by or (before and abs(difference) <= kind.near * abs(before)):
        return Comparison(_SAME[kind.unit][0], f"{_SAME[kind.unit][1]} {what}", "same")
    if kind.as_much and before > 0:
        words = _ratio(kind, now, before)
    elif kind.unit == "%":
        points = f"{abs(difference):.1f}".removesuffix(".0")
        words = f"{points} {'point' if points == '1' else 'points'} {kind.more if difference > 0 else kind.less}"
    else:
        # A count, or more than nothing: of that no number is a percentage more.
        words = f"{kind.write(abs(difference))} {'more' if difference > 0 else kind.less}"
    direction: Better = "more" if difference > 0 else "less"
    tone: Tone = "changed" if better == "neither" else "better" if better == direction else "worse"
    joint = "as" if kind.as_much and before > 0 and now / before >= _TIMES else "than"
    return Comparison(words, f"{words} {joint} {what}", tone)


_SAME: dict[Unit, tuple[str, str]] = {
    "s": ("about the same", "about as long as"),
    "B": ("about the same", "about the same as"),
    "": ("the same", "as many as"),
    "%": ("the same", "the same as"),
}


def _ratio(kind: Kind, now: float, before: float) -> str:
    if now / before >= _TIMES:
        return f"{now / before:.1f} times {kind.as_much}"
    change = abs(now - before) / before
    percent = f"{100 * change:.0f} %" if change >= 0.01 else "under 1 %"
    return f"{percent} {kind.more if now > before else kind.less}"


def _mean_words(weeks: int) -> str:
    if weeks == BEFORE or weeks == 0:
        return f"the {BEFORE}-week mean"
    return f"the mean of {weeks} weeks" if weeks > 1 else "the only week before"


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values[:-1] if value is not None]


def _write(kind: Kind, value: float | None) -> str:
    return NOTHING if value is None else kind.write(value)
