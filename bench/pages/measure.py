"""Pages that take turns with a blank one, and the server's memory with ten sessions open."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import get_args

from bench.pages.site import Served
from bench.pages.visits import open_session
from bench.rounds import take_turns
from dashboard.navigation import PageName
from services.units import format_bytes

GOAL_MS, WISH_MS = 300, 150
MEMORY_LIMIT = 500_000_000
SESSIONS = 10
BLANK_PAGE = "a blank page"
APART = 1.1
"""Seconds between two visits of a page: what the dashboard keeps for a second (the overview) is read anew each time."""


@dataclass(frozen=True)
class PageTimes:
    """What the visits of one page took, in milliseconds."""

    name: str
    first: float
    """The first visit of the page after the server's start: modules are imported. (Opening the installation, once a
    server, has happened by then.)"""
    warm: tuple[float, ...]
    processor: float
    """The median of what a warm visit took of the server's processor: other programs do not lengthen it."""

    @property
    def median(self) -> float:
        return median(self.warm)

    @property
    def slowest(self) -> float:
        return max(self.warm)


def page_names() -> tuple[str, ...]:
    """Return the pages of the dashboard, by their URLs; the overview's is the root."""
    return get_args(PageName)


def measure_pages(served: Served, blank: Served, rounds: int) -> list[PageTimes]:
    """Visit every page ``rounds`` times, each time in a session of its own, in turns with a blank page.

    One more session stays open meanwhile, as it does where a team works: with the last one Streamlit drops its cache
    of compiled scripts.
    """
    first: dict[str, float] = {}
    worked: dict[str, list[float]] = defaultdict(list)

    def visitor(name: str, server: Served, path: str) -> Callable[[], float]:
        last = 0.0

        def visit() -> float:
            nonlocal last
            time.sleep(max(0.0, last + APART - time.monotonic()))
            with open_session(server.address) as session:
                before = _processor_seconds(server)
                seconds = session.visit(path).seconds
                worked[name].append(_processor_seconds(server) - before)
            last = time.monotonic()
            first.setdefault(name, seconds)
            return seconds

        return visit

    contestants = {BLANK_PAGE: visitor(BLANK_PAGE, blank, "")}
    contestants |= {name: visitor(name, served, "" if name == "overview" else name) for name in page_names()}
    with open_session(served.address) as one, open_session(blank.address) as other:
        one.visit("")
        other.visit("")
        times = take_turns(contestants, rounds)
    return [
        PageTimes(name, 1000 * first[name], tuple(1000 * s for s in found), 1000 * median(worked[name][1:]))
        for name, found in times.items()
    ]


def measure_memory(served: Served, sessions: int = SESSIONS) -> tuple[int, int]:
    """Hold sessions open, each of which has visited every page twice; return the server's resident bytes, and the peak.

    The peak is that of the whole life of the server so far.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(open_session(served.address)) for _ in range(sessions)]
        for name in page_names() * 2:
            for session in opened:
                session.visit("" if name == "overview" else name)
        return served.process.memory_info().rss, _peak(served)


def show_pages(times: Sequence[PageTimes]) -> list[str]:
    """Return a table, and whether each page meets the goals; the verdict is on the median of the warm visits."""
    width = max(len(each.name) for each in times)
    lines = [f"{'milliseconds':<{width}}  {'first':>7}  {'median':>7}  {'slowest':>7}  {'processor':>9}  warm visits"]
    lines += [
        f"{each.name:<{width}}  {each.first:>7.0f}  {each.median:>7.0f}  {each.slowest:>7.0f}  {each.processor:>9.0f}"
        f"  {len(each.warm):>11}"
        for each in times
    ]
    for each in times:
        if each.name != BLANK_PAGE:
            wish = f"wished at most {WISH_MS} ms: {'met' if each.median <= WISH_MS else 'NOT MET'}"
            goal = f"median {each.median:.0f} ms, goal at most {GOAL_MS} ms"
            lines.append(f"{_verdict(each.median <= GOAL_MS)}  {each.name}: {goal}; {wish}")
    return lines


def show_memory(resident: int, peak: int, sessions: int = SESSIONS) -> str:
    """Return the memory beside its goal."""
    return (
        f"{_verdict(peak <= MEMORY_LIMIT)}  memory of the server with {sessions} open sessions: "
        f"{format_bytes(resident)}, at its peak {format_bytes(peak)}, goal at most {format_bytes(MEMORY_LIMIT)}"
    )


def show_rows(rows: Mapping[str, int]) -> str:
    """Return what the catalogue holds, in a line."""
    return ", ".join(f"{count:,} {table}" for table, count in rows.items())


def _verdict(met: bool) -> str:
    return "met    " if met else "NOT MET"


def _processor_seconds(served: Served) -> float:
    spent = served.process.cpu_times()
    return float(spent.user + spent.system)


def _peak(served: Served) -> int:
    """Return the most that the server ever held (Linux), or what it holds now."""
    try:
        with open(f"/proc/{served.process.pid}/status") as status:  # noqa: PTH123 - not a file of ours
            found = [line for line in status if line.startswith("VmHWM")]
        return int(found[0].split()[1]) * 1024
    except (OSError, IndexError):
        return int(served.process.memory_info().rss)
