"""Doing what was asked for: in the foreground with its progress, or by the worker.

In the foreground the run is worked on in a thread of this process; the main thread shows how far it is and takes
Ctrl-C, which cancels the run in order: its child processes end, what was half stored is removed, the row says why.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Annotated

import typer

from services import commands
from services.catalog.model import LogLine, Run
from services.cli.app import INTERRUPTED
from services.cli.output import note, say, write_json
from services.cli.progress import View, choose_view
from services.cli.session import actor, release_what_is_due
from services.commands.attended import unattended
from services.errors import BackupsError, Busy, Cancelled, InputError
from services.installation import Installation
from services.jobs.active_run import ActiveRun
from services.jobs.execute import execute_run
from services.jobs.identity import process_identity
from services.jobs.recovery import recover_now

POLL_SECONDS = 0.25
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Queue = Annotated[bool, typer.Option("--queue", help="Hand it to the worker, print the run's id and return.")]
Wait = Annotated[bool, typer.Option("--wait", help="With --queue: wait for the worker to finish it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@dataclass(frozen=True)
class Mode:
    """How a command carries out what it asks for."""

    queue: bool
    wait: bool
    quiet: bool
    as_json: bool


class Stopped(BaseException):
    """A signal asked this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def carry_out(installation: Installation, submit: Callable[[bool], str], mode: Mode) -> Run | None:
    """Submit a run and see it through; return how it ended, or None when it was only handed to the worker.

    ``submit`` is told whether to enqueue the run and returns its id. Exits with 130 when it was interrupted.
    """
    release_what_is_due(installation)
    with unattended(not _has_terminal()):
        run_id = submit(mode.queue or mode.wait)
    if not mode.queue and not mode.wait:
        if installation.catalog.runs.get(run_id).state == "queued":
            return _in_the_foreground(installation, run_id, quiet=mode.quiet)
        return _to_its_end(installation, run_id, quiet=mode.quiet)  # the same was asked for before, with this key
    if not mode.wait:
        if mode.as_json:
            write_json({"run_id": run_id, "state": "queued"})
        else:
            say(run_id)
        return None
    if not installation.catalog.workers.alive(installation.clock()):
        note("No worker is running; start one with `backups worker`. Waiting.", style="yellow")
    return _to_its_end(installation, run_id, quiet=mode.quiet)


def _has_terminal() -> bool:
    """Say whether somebody typed this: at least one of the streams is a terminal, however the others are redirected."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return any(stream is not None and not stream.closed and stream.isatty() for stream in streams)


def fail_unless_finished(run: Run) -> None:
    """Raise what stopped the run, unless it finished; with the exit code of the error that it met."""
    if run.state == "finished":
        return
    message = run.error or f"The run is {run.state}."
    error = (Cancelled if run.state == "cancelled" else BackupsError)(message, hint=run.hint)
    code = run.result.get("exit_code")
    if isinstance(code, int) and code:
        error.exit_code = code
    raise error


def _in_the_foreground(installation: Installation, run_id: str, *, quiet: bool) -> Run:
    work = _Work(installation, run_id)
    with _signals_raise(), choose_view(quiet=quiet) as view:
        watched = _Watched(installation, run_id, view)
        try:
            work.start()
            while not work.ended.wait(POLL_SECONDS):
                watched.look()
        except Stopped as stopped:
            note("Stopping: what was begun is being removed.")
            work.cancel()
            code = 128 + stopped.number
        else:
            code = 0
        watched.look()
    if work.error is not None:
        raise work.error
    if code:
        raise typer.Exit(code)
    return installation.catalog.runs.get(run_id)


def _to_its_end(installation: Installation, run_id: str, *, quiet: bool) -> Run:
    """Watch a run that another process works on."""
    try:
        with choose_view(quiet=quiet) as view:
            watched = _Watched(installation, run_id, view)
            while watched.look().is_active:
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        note(f"Not waiting any longer; the run goes on. Stop it with `backups cancel {run_id}`.")
        raise typer.Exit(INTERRUPTED) from None
    return installation.catalog.runs.get(run_id)


class _Watched:
    """A run as its row and its log show it."""

    def __init__(self, installation: Installation, run_id: str, view: View) -> None:
        self._installation = installation
        self._run_id = run_id
        self._view = view
        self._seen = 0

    def look(self) -> Run:
        runs = self._installation.catalog.runs
        run = runs.get(self._run_id)
        lines: list[LogLine] = runs.log(self._run_id, after=self._seen)
        self._seen += len(lines)
        if run.state != "finished":  # its last line says the error that the command ends with, once more
            lines = [line for line in lines if line.message not in _ends(run)]
        self._view.update(run, lines, self._installation.clock())
        return run


def _ends(run: Run) -> tuple[str, ...]:
    error = BackupsError(run.error, hint=run.hint)
    return tuple(f"{state.capitalize()}: {error}" for state in ("failed", "cancelled")) if run.error else ()


class _Work:
    """The run's work, in a thread of its own."""

    def __init__(self, installation: Installation, run_id: str) -> None:
        self._installation = installation
        self._run_id = run_id
        self._active: ActiveRun | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"run-{run_id}")
        self.ended = threading.Event()
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def cancel(self) -> None:
        """Have the run end as cancelled, and wait until it has."""
        with contextlib.suppress(InputError):  # it has just ended
            commands.request_cancel(self._installation, self._run_id, actor=actor())
        with self._lock:
            self._cancelled = True
            active = self._active
        if active is not None:
            active.stop(Cancelled(f"Cancelled by {actor()}."))
        self._thread.join()

    def _started(self, active: ActiveRun) -> None:
        with self._lock:
            self._active = active
            late = self._cancelled
        if late:
            active.stop(Cancelled(f"Cancelled by {actor()}."))

    def _execute(self) -> None:
        execute_run(self._installation, self._run_id, worker=process_identity(), started=self._started)

    def _run(self) -> None:
        try:
            try:
                self._execute()
            except Busy:
                # The lock may be a dead process's; where no worker runs, nobody else looks after that.
                recover_now(self._installation)
                self._execute()
        except Busy as busy:
            # Nobody else would take up this run: it was not given to the worker.
            self.error = Busy(busy.message, hint="Wait for it, or give this to the worker: --queue.")
            self._installation.catalog.runs.fail_queued(
                self._run_id, now=self._installation.clock(), error=busy.message, hint=busy.hint
            )
        except BaseException as error:  # noqa: BLE001 - raised again in the main thread
            self.error = error
        finally:
            self.ended.set()


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """While the block runs, have the first SIGINT, SIGTERM or SIGHUP raise Stopped in the main thread.

    Later ones change nothing: what was begun is being removed then, and that must not be cut short.
    """

    stopped = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        for each in _ENDING:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in _ENDING}
    try:
        yield
    finally:
        if not stopped:  # else the process is ending, and a further signal must not change its exit code
            for number, handler in before.items():
                signal.signal(number, handler)
