"""How far a run is, as a bar on a terminal and as lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from services.catalog.model import LogLine, Run
from services.cli.output import instant, printable, stderr
from services.units import format_bytes, format_duration

LINE_EVERY = timedelta(seconds=10)
"""Between two lines about the same phase, where there is no terminal."""
_STYLES = {"info": "dim", "warning": "yellow", "error": "red"}


@dataclass(frozen=True)
class Pace:
    """How far and how fast: derived from a run's row at one instant."""

    phase: str
    done: int
    total: int | None
    bytes_per_second: float | None
    seconds_left: float | None
    """Of this phase by its bytes, otherwise of the whole run by history; None where nobody knows."""

    @property
    def words(self) -> str:
        """Return the pace for people: ``1.2 GB of 3.1 GB · 110 MB/s · 17 s left``."""
        parts = []
        if self.done:
            size = format_bytes(self.done)
            # The expected total is an estimate: a phase that went past it is not shown as more than all.
            parts.append(f"{size} of {format_bytes(self.total)}" if self.total and self.total >= self.done else size)
        if self.bytes_per_second:
            parts.append(f"{format_bytes(self.bytes_per_second)}/s")
        if self.seconds_left is not None:
            parts.append(f"{format_duration(self.seconds_left)} left")
        return " · ".join(parts)


def pace(run: Run, now: datetime) -> Pace:
    """Given a run's row, return how far it is and how fast it goes."""
    rate = left = None
    if run.phase_started_at is not None and run.bytes_done > 0:
        elapsed = (now - run.phase_started_at).total_seconds()
        rate = run.bytes_done / elapsed if elapsed >= 0.5 else None
    if rate and run.bytes_total and run.bytes_total >= run.bytes_done:
        left = (run.bytes_total - run.bytes_done) / rate
    elif run.expected_seconds is not None and run.started_at is not None:
        rest = run.expected_seconds - (now - run.started_at).total_seconds()
        left = rest if rest > 0 else None
    return Pace(run.phase or run.state, run.bytes_done, run.bytes_total, rate, left)


class View(AbstractContextManager["View"], Protocol):
    """Something that shows a run while it goes on."""

    def update(self, run: Run, new_lines: list[LogLine], now: datetime) -> None:
        """Show the run as it is now, and the lines that its log got since the last call."""


class NoView(View):
    """Shows nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def update(self, run: Run, new_lines: list[LogLine], now: datetime) -> None:
        """Show nothing."""


class LineView(View):
    """Log lines as they come, and a line about the pace every ten seconds: for files, pipes and cron."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: datetime | None = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def update(self, run: Run, new_lines: list[LogLine], now: datetime) -> None:
        """Print what is new."""
        for line in new_lines:
            self._print(f"{instant(line.at, seconds=True)} {line.message}")
        self._last = self._last or now
        if run.state == "running" and now - self._last >= LINE_EVERY:
            self._last = now
            found = pace(run, now)
            self._print(f"{instant(now, seconds=True)} {found.phase}: {found.words or 'working'}")

    def _print(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True)


class BarView(View):
    """A progress bar, with the log above it."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[words]}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("waiting", total=None, words="")

    def __enter__(self) -> BarView:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def update(self, run: Run, new_lines: list[LogLine], now: datetime) -> None:
        """Draw the bar."""
        for line in new_lines:
            text = Text(printable(f"{line.at:%H:%M:%S} {line.message}"), style=_STYLES[line.level])
            self._progress.console.print(text, soft_wrap=True)
        found = pace(run, now)
        self._progress.update(
            self._task,
            description=printable(found.phase),
            completed=found.done,
            total=found.total if found.total and found.total >= found.done else None,
            words=found.words,
        )


def choose_view(*, quiet: bool) -> View:
    """Return a bar for a terminal, lines elsewhere, nothing when asked to be quiet."""
    if quiet:
        return NoView()
    console = stderr()
    return BarView(console) if console.is_terminal else LineView(console)
