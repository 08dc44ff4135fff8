"""The application's own switch: a program of the settings that tells it to stop writing, or to go on."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import partial

from services.errors import BackupsError
from services.jobs.context import RunContext
from services.settings.model import DatabaseSettings, Settings
from services.settings.secret_texts import secrets_of

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
_SHOWN = 300
"""Characters of what the program wrote that are shown, from its end."""
_END_SECONDS = 5.0


def run_command(
    settings: Settings,
    database: DatabaseSettings,
    command: tuple[str, ...],
    *,
    run: RunContext | None = None,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Run a program of the settings to its end, and return the last that it wrote, secrets masked.

    It sees PATH, LANG and the variables that the settings name, nothing else of ours. Raise BackupsError when it is not
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
    seconds = database.read_only_command_timeout.total_seconds()
    # A file, not a pipe: whatever the program leaves running in the background cannot keep us waiting for its end.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [program, *command[1:]],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with run.on_cancel(partial(_end, process)) if run else nullcontext():
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
        said = mask(output.read().decode("utf-8", "replace"), secrets).strip()
    said = " ".join(said.split())[-_SHOWN:]
    if status != 0:
        what = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        raise BackupsError(f"{shown(settings, command)} {what}: {said or 'it said nothing'}")
    return said


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
