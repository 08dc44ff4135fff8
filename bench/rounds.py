"""Contestants that take turns, so that a slow minute of the machine hits all of them; ratios of their medians."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Goal:
    """What the ratio of two contestants should be. ``at_most``: ours / theirs; otherwise at least theirs / ours."""

    title: str
    ours: str
    theirs: str
    limit: float
    at_most: bool = True


def take_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every contestant once to warm up, then ``rounds`` times each, the order turning by one each round.

    Returns the measured seconds of each, without the warm-up.
    """
    names = list(contestants)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            print(f"\r\033[Kround {number} of {rounds}: {name}", end="", file=sys.stderr, flush=True)
            seconds = contestants[name]()
            if number > 0:
                times[name].append(seconds)
    print("\r\033[K", end="", file=sys.stderr, flush=True)
    return times


def show_times(times: Mapping[str, list[float]]) -> list[str]:
    """Return a table of minimum, median and maximum."""
    width = max(len(name) for name in times)
    lines = [f"{'seconds':<{width}}  {'min':>7}  {'median':>7}  {'max':>7}  runs"]
    for name, measured in times.items():
        figures = "  ".join(f"{seconds:>7.2f}" for seconds in (min(measured), median(measured), max(measured)))
        lines.append(f"{name:<{width}}  {figures}  {len(measured):>4}")
    return lines


def show_goal(goal: Goal, times: Mapping[str, list[float]]) -> str:
    """Return the ratio of the medians beside its goal, and whether it is met. What was not run says so."""
    if goal.ours not in times or goal.theirs not in times:
        return f"not measured  {goal.title}"
    ratio = median(times[goal.ours]) / median(times[goal.theirs])
    if goal.at_most:
        met, shown = ratio <= goal.limit, f"{ratio:.2f} x their time, goal at most {goal.limit:.2f}"
    else:
        met, shown = 1 / ratio >= goal.limit, f"{1 / ratio:.2f} x as fast, goal at least {goal.limit:.2f}"
    return f"{'met       ' if met else 'NOT MET   '}  {goal.title}: {shown}"
