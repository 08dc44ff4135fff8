"""The application's own switch: a program of the settings that tells it to stop writing, or to go on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path

import psutil
from sqlalchemy.exc import SQLAlchemyError

from services.catalog.read_only_modes import ReadOnlyMode
from services.errors import BackupsError
from services.installation import Installation
from services.jobs.context import RunContext
from services.jobs.processes import started_at
from services.settings.model import DatabaseSettings, Settings
from services.settings.secret_texts import secrets_of

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
_SHOWN = 300
"""Characters of what the program wrote that are shown, from its end."""
_END_SECONDS = 5.0
_PURPOSE = "read-only on"
"""Marks the program among what a run would leave behind."""
_FOUND_BY = "BACKUPS_COMMAND"
"""The variable by which the program, and whatever it starts, is found again."""


def run_command(
    settings: Settings,
    database: DatabaseSettings,
    command: tuple[str, ...],
    *,
    run: RunContext | None = None,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Run a program of the settings to its end, and return the last that it wrote, secrets masked.

    It sees PATH, LANG and the variables that the settings name, and of ours one by which it is found again when our
    process dies. Raise BackupsError when it is not
    there, fails, takes longer than its limit, or ``run`` has to stop: it is ended with everything that it started then.
    """
    named = {name: environ[name] for name in database.read_only_command_environment if name in environ}
    environment = {"PATH": SEARCH_PATH, "LANG": "C.UTF-8"} | named
    secrets = secrets_of(settings) | {text for name, text in named.items() if len(text) >= 4 and name not in _PLAIN}
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise BackupsError(
            f"There is no program {command[0]} in {environment['PATH']}.", hint="Give its full path in the settings."
        )
    if run is not None:
        environment[_FOUND_BY] = uuid.uuid4().hex
    try:
        status, said = _carry_out([program, *command[1:]], environment, settings, database, command, run)
    except OSError as error:
        raise BackupsError(
            f"{shown(settings, command)} could not be run: {error.strerror or error}",
            hint="Is it executable, with a #! line whose program is there, and is there room in the temporary folder?",
        ) from error
    said = " ".join(mask(said, secrets).split())[-_SHOWN:]
    if status != 0:
        what = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        raise BackupsError(f"{shown(settings, command)} {what}: {said or 'it said nothing'}")
    return said


def _carry_out(
    words: list[str],
    environment: Mapping[str, str],
    settings: Settings,
    database: DatabaseSettings,
    command: tuple[str, ...],
    run: RunContext | None,
) -> tuple[int, str]:
    """Run it to its end; return its status and the last that it wrote. Raise OSError, BackupsError."""
    seconds = database.read_only_command_timeout.total_seconds()
    # A file, not a pipe: whatever the program leaves running in the background cannot keep us waiting for its end.
    with tempfile.TemporaryFile() as output, _announced(environment, seconds, run):
        process = subprocess.Popen(
            words,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with _remembered(process, seconds, run), run.on_cancel(partial(_end, process)) if run else nullcontext():
                status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise BackupsError(
                f"{shown(settings, command)} did not end within {seconds:.0f} s, and was ended.",
                hint="read_only_command_timeout sets the limit.",
            ) from None
        finally:
            if process.poll() is None:
                _end(process)
        output.seek(max(0, output.seek(0, os.SEEK_END) - 20_000))
        return status, output.read().decode("utf-8", "replace")


def _announced(environment: Mapping[str, str], seconds: float, run: RunContext | None) -> AbstractContextManager[None]:
    """Have the run's row say what is just going to be started: we may die before its process can be named there."""
    if run is None:
        return nullcontext()
    return run.leftover(
        "command", token=environment[_FOUND_BY], purpose=_PURPOSE, until=f"{time.time() + seconds + _END_SECONDS:.2f}"
    )


def _remembered(
    process: subprocess.Popen[bytes], seconds: float, run: RunContext | None
) -> AbstractContextManager[None]:
    """Have the run's row say that the program runs: whoever undoes it must not be overtaken by it."""
    if run is None:
        return nullcontext()
    return run.leftover(
        "process",
        pid=str(process.pid),
        started=started_at(process.pid),
        purpose=_PURPOSE,
        until=f"{time.time() + seconds:.2f}",
    )


def end_on_command(installation: Installation, mode: ReadOnlyMode) -> None:
    """End the application's on command, if the run that holds the mode left it running, or still does.

    Raise BackupsError while it may be running on another machine: to be tried again.
    """
    host, _, _ = mode.process.rsplit(":", 2)
    try:
        left = installation.catalog.runs.leftovers(mode.run_id)
    except SQLAlchemyError:
        return  # the catalogue is away: nobody can say
    for entry in left:
        if entry.get("purpose") != _PURPOSE:
            continue
        if host == socket.gethostname():
            if "token" in entry:
                _end_marked(entry["token"])
            else:
                _end_group(int(entry["pid"]), float(entry["started"]))
        elif installation.clock().timestamp() < float(entry["until"]):
            raise BackupsError(
                f"The application is just being told to stop, by {host}.", hint="It is told to go on once that is over."
            )


def _end_marked(token: str) -> None:
    """End every process that was started with this token: the program, and what it started with its environment."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(_FOUND_BY) == token:
                os.kill(process.pid, signal.SIGKILL)


def _end_group(pid: int, started: float) -> None:
    """End a program and all that it started, also when the program itself is gone: its number is kept for the rest."""
    for process in psutil.process_iter(["create_time"]):
        try:
            is_member = os.getpgid(process.pid) == pid and process.info["create_time"] > started - 1.5
        except OSError:
            continue
        if is_member:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            return  # not waited for: it may be a child of ours, whose end is another thread's to hear of


def why_not_run(command: tuple[str, ...]) -> str:
    """Say why a program of the settings cannot be run; empty when nothing is to be seen that speaks against it."""
    program = shutil.which(command[0], path=SEARCH_PATH)
    if program is None:
        return f"There is no program {command[0]} in {SEARCH_PATH}."
    try:
        with Path(program).open("rb") as file:
            head = file.read(256)
    except OSError:
        return ""  # executable, and not to be read
    if head.startswith(b"#!"):
        interpreter = (head[2:].split(b"\n")[0].split() or [b""])[0].decode("utf-8", "replace")
        if not Path(interpreter).is_file():
            return f"The #! line of {program} names {interpreter or 'nothing'}, which is not there."
    elif b"\0" not in head:  # text: no program that the system knows by itself
        return f"{program} has no #! line."
    return ""


def shown(settings: Settings, command: tuple[str, ...]) -> str:
    """Return the command line as it may be shown."""
    return mask(shlex.join(command), secrets_of(settings))


def mask(text: str, secrets: set[str]) -> str:
    """Return the text with every secret in it replaced by ``***``, the longest first."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


_PLAIN = frozenset({"PATH", "HOME", "LANG", "LC_ALL", "USER", "TMPDIR"})
"""Variables whose values are no secrets: masked they would make what a program says unreadable."""


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
