"""The guardian of one read-only mode: a process of its own that releases it when nobody else is left to.

Started before anything is switched, in a session of its own, so that neither ``kill -9`` of the run's process nor of
the whole process group of ``backups serve`` takes it along. It looks each second whether the run's process and attempt
still live and whether the limit has passed, tries until the release works, and ends when the mode is released.

The settings come through a pipe: whoever lists processes sees no secret, and a file changed meanwhile changes nothing.
"""

from __future__ import annotations

import logging
import os
import pickle  # nosec B403  # see where it is read
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.release import all_steps, due_reason, process_reason, run_of, try_release
from services.errors import BackupsError, UnknownName
from services.installation import Installation, open_configured

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
READY_SECONDS = 30.0
"""How long a guardian may take to be on its post."""
LONGEST_PAUSE = 30.0
LOG_NAME = "guardian.log"
"""In the home of the settings: what each guardian did, and why it could not."""
UNSAID = 20
"""So often it tries to write into the catalogue that the database is released; then a worker finds that out."""
LEAVE_SECONDS = 86_400.0
"""After so long without success it leaves the rest to the worker: the server or the catalogue is gone for good."""
_READY = b"on its post\n"
_ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def guarded_by_process(installation: Installation, mode: ReadOnlyMode) -> Iterator[None]:
    """Have a guardian on its post while the block runs, and after it until the mode is released.

    Raise BackupsError when it does not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "services.emergency.guardian"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(pickle.dumps((installation.settings, mode.id)))
            process.stdin.close()
            is_ready = _says_ready(process)
        except BrokenPipeError:
            is_ready = False
        if not is_ready:
            process.kill()
            raise BackupsError(
                "The process that releases read-only mode if all others die did not start; nothing was switched.",
                hint="Try again, or back up without read-only mode.",
            )
        yield
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        _let_go(process)


def _says_ready(process: subprocess.Popen[bytes]) -> bool:
    """Wait until the guardian says that it is there; False when it ends or says nothing in time."""
    timer = threading.Timer(READY_SECONDS, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        return process.stdout.readline() == _READY
    finally:
        timer.cancel()


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Wait for the guardian's end in a thread: a process that nobody waits for stays a zombie as long as we live."""
    threading.Thread(target=process.wait, name="guardian", daemon=True).start()


def main() -> None:
    """Be the guardian of the mode that standard input names."""
    told_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Meant for the run, which releases; we see to it that it has.
        signal.signal(number, lambda *_: told_to_end.set())
    settings, mode_id = pickle.load(sys.stdin.buffer)  # nosec B301  # noqa: S301 - from the process that started us
    logging.basicConfig(
        filename=settings.home / LOG_NAME, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("services").setLevel(logging.INFO)
    try:
        installation = open_configured(settings)
        mode = installation.catalog.read_only_modes.get(mode_id)
    except Exception:
        logger.exception("read-only mode %s cannot be guarded", mode_id)
        raise
    sys.stdout.buffer.write(_READY)
    sys.stdout.flush()
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    try:
        guard(installation, mode, told_to_end)
    except Exception:
        logger.exception("read-only mode %s is not guarded any more", mode_id)
        raise


def guard(installation: Installation, mode: ReadOnlyMode, told_to_end: threading.Event | None = None) -> None:
    """Stay until the mode is released. Neither a wrong clock nor a catalogue that is away keeps its limit from it.

    ``told_to_end``: somebody wants us to go; we do once the mode is due and a worker is there to go on with it.

    What the catalogue cannot be told, or does not know any more, is remembered here: each step is undone once.
    """
    began = time.monotonic()
    limit = (mode.release_by - mode.began_at).total_seconds()
    pause, unsaid = LOOK_SECONDS, 0
    mode = all_steps(installation, mode)  # until the catalogue says which were taken
    is_set, is_told = True, True  # as far as we have not undone it
    while time.monotonic() - began < limit + LEAVE_SECONDS and unsaid < UNSAID:
        is_known = True
        try:
            mode = installation.catalog.read_only_modes.get(mode.id)
            if mode.released_at is not None:
                return
            why = due_reason(mode, run_of(installation, mode), installation.clock())
        except UnknownName:
            mode, is_known = all_steps(installation, mode), False
            why = "the catalogue does not know of it any more"
        except SQLAlchemyError:
            mode = all_steps(installation, mode)
            why = process_reason(mode)
        if not why and time.monotonic() - began >= limit:
            why = "its limit has passed"
        if why:
            mode = replace(mode, sql_step=mode.sql_step and is_set, command_step=mode.command_step and is_told)
            done = try_release(installation, mode, by=f"the guardian, since {why}")
            is_set &= not mode.sql_step or done.left.sql_step
            is_told &= not mode.command_step or done.left.command_step
            if done.is_done and (done.away is None or not is_known):
                logger.info("read-only mode %s is released, since %s", mode.id, why)
                return
            unsaid += done.is_done
            said = " ".join(done.failures) or done.away or "somebody else is at it"
            logger.warning("read-only mode %s is not released yet: %s", mode.id, said)
            pause = min(2 * pause, LONGEST_PAUSE)
            if told_to_end is not None and told_to_end.is_set() and _has_workers(installation):
                logger.info("read-only mode %s is left to the workers", mode.id)
                return
        time.sleep(pause)


def _has_workers(installation: Installation) -> bool:
    try:
        return bool(installation.catalog.workers.alive(installation.clock()))
    except SQLAlchemyError:
        return False


if __name__ == "__main__":
    main()
