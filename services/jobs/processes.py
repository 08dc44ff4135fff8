"""Child programs: started in a group of their own, drained, registered, and ended whatever happens.

A child gets its whole environment from the caller and nothing from ours. Where ``setpriv`` is installed (Linux) the
kernel kills the child when the thread that started it dies, so that ``kill -9`` of our process leaves no ``pg_dump``;
everywhere, the run remembers the child as a leftover, which recovery ends.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

import psutil

from services.jobs.context import RunContext
from services.jobs.identity import is_group_of

TAIL_LINES = 25
ERROR_LINES = 6
END_SECONDS = 60.0
"""The longest that a child may take to end once its input or output is closed."""
GRACE_SECONDS = 3.0
"""How long a child that is told to end may take before it is killed."""
PIPE_BYTES = 1 << 20
# PostgreSQL's programs write "pg_dump: error: …", "pg_dump: detail: …", and what the server said.
_TELLING = re.compile(r"\b(error|detail|hint|fatal):|\b(ERROR|DETAIL|FATAL|PANIC):")
_TOLD_TO_END = ": terminated by user"  # what they say of SIGTERM, whoever sent it: not the reason to be shown
_F_SETPIPE_SZ = 1031  # fcntl.F_SETPIPE_SZ exists on Linux only


class Child:
    """One running child program, with the last lines that it wrote on standard error."""

    def __init__(self, process: subprocess.Popen[bytes], name: str) -> None:
        self._process = process
        self.name = name
        self.pid = process.pid
        self._started = time.time()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._errors: list[str] = []
        self._told_to_end = threading.Event()
        self._drain = threading.Thread(target=self._read_stderr, name=f"{name} stderr", daemon=True)
        self._drain.start()

    @property
    def stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None, f"{self.name} was started without an input"
        return self._process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None, f"{self.name} was started without an output"
        return self._process.stdout

    @property
    def last_lines(self) -> tuple[str, ...]:
        """What the child wrote last on standard error, oldest first. Complete once ``wait`` returned."""
        return tuple(self._tail)

    @property
    def error_lines(self) -> tuple[str, ...]:
        """The first lines that name an error, however much came after them (a long command); else the last ones."""
        return tuple(self._errors) or self.last_lines[-3:]

    def poll(self) -> int | None:
        """Return the exit status, or None while the child runs."""
        return self._process.poll()

    def wait(self, seconds: float | None = None) -> int:
        """Wait for the end and return the exit status (negative: the signal). Kill the child when the time is over."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait(END_SECONDS)
            self._tail.append(f"{self.name} did not end within {seconds:.0f} s and was killed")
            status = -signal.SIGKILL
        self._end_group()
        self._drain.join(END_SECONDS)
        return status

    def kill(self) -> None:
        """End the child and everything it started. Does not wait; safe to call twice, and from another thread.

        It is told to end first: PostgreSQL's programs then cancel what the server does for them. After SIGKILL that
        goes on, with the locks that it holds, until it next writes to a client that is gone.
        """
        if self._told_to_end.is_set() or self._process.poll() is not None:
            return
        self._told_to_end.set()
        self._signal(signal.SIGTERM)
        late = threading.Timer(GRACE_SECONDS, self._signal, [signal.SIGKILL])
        late.daemon = True
        late.start()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return  # it ended in between

    def close(self) -> None:
        """Kill what still runs, of it and of what it started, and release the pipes."""
        self.kill()
        self._process.wait(END_SECONDS)
        self._end_group()
        self._drain.join(END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _end_group(self) -> None:
        """End the workers that outlive a parallel program: told to end with it, they may be stopped, or wait."""
        deadline = time.monotonic() + GRACE_SECONDS
        while self._has_group():
            if time.monotonic() > deadline:
                if is_group_of(self.pid, self._started):
                    os.killpg(self.pid, signal.SIGKILL)
                return
            time.sleep(0.02)

    def _has_group(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            if text and not (self._told_to_end.is_set() and text.endswith(_TOLD_TO_END)):
                self._tail.append(text)
                if _TELLING.search(text) and len(self._errors) < ERROR_LINES:
                    self._errors.append(text)


@contextmanager
def run_child(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    run: RunContext,
    stdin: bool = False,
    stdout: bool = False,
    user: Mapping[str, Any] | None = None,
    level: Literal["info", "warning"] = "warning",
) -> Iterator[Child]:
    """Run a program for the length of the block; ``stdin``, ``stdout`` ask for unbuffered pipes (else the null device).

    Cancelling the run ends the program and its process group; so does leaving the block. Its last lines of standard
    error go to the run's log when it ends, at this ``level``. ``user`` is whom it runs as
    (``ServerUser.popen_arguments``); None: as we do.
    """
    name = Path(command[0]).name
    process = subprocess.Popen(
        [*_dies_with_parent(), *(str(word) for word in command)],
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=dict(environment),
        cwd="/",
        bufsize=0,
        start_new_session=True,
        **(user or {}),
    )
    child = Child(process, name)
    try:
        for pipe in (process.stdin, process.stdout):
            _enlarge(pipe)
        with run.leftover("process", pid=str(child.pid), started=_started(child.pid)), run.on_cancel(child.kill):
            yield child
    finally:
        child.close()
        for line in child.last_lines:
            run.log(f"{name}: {line}", level)


@cache
def _dies_with_parent() -> tuple[str, ...]:
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
    return (setpriv, "--pdeathsig", "KILL", "--") if setpriv and sys.platform == "linux" else ()


def _started(pid: int) -> str:
    """Return when the process started, in seconds since the epoch: it tells it from a later one with the same id."""
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return "0"  # it has ended already; nothing can be left of it


def _enlarge(pipe: IO[bytes] | None) -> None:
    """Give a pipe room for fewer switches between the two processes. The system may refuse; then it stays small."""
    if pipe is None or sys.platform != "linux":
        return
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return
