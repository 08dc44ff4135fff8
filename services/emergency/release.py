"""Releasing read-only mode: idempotent, by whoever comes first, and tried again until it works.

The run itself does it at its end; the guardian, each worker and each command that starts a run do it for a run that is
gone or over its limit; a person does it with a click. Two at once do no harm: the database's setting is put back under
a lock and only while it is the one that we set, and of two that want to run the application's command one does.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from services.catalog.duties import claim_duty, drop_duty
from services.catalog.model import LogLine, Run
from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.commands import end_on_command, mask, run_command
from services.emergency.read_only import restore_setting, visit
from services.emergency.words import after_release
from services.errors import BackupsError, UnknownName
from services.installation import Installation
from services.jobs.identity import is_same_process, process_identity
from services.settings.secret_texts import secrets_of

logger = logging.getLogger(__name__)

_FIRST_PAUSE = timedelta(seconds=2)
_LONGEST_PAUSE = timedelta(minutes=1)
_CLAIM = timedelta(minutes=1)
"""Beyond its own limit, how long whoever runs the application's command keeps others from it."""


def due_reason(mode: ReadOnlyMode, run: Run | None, now: datetime) -> str:
    """Say why a mode is to be released by somebody else than its run; empty while its run goes on with it."""
    if now >= mode.release_by:
        return "its limit has passed"
    if run is None or run.state != "running" or run.attempt != mode.attempt:
        return "its run is over"
    return process_reason(mode)


def process_reason(mode: ReadOnlyMode) -> str:
    """The part of ``due_reason`` that needs no catalogue: is the process of the run gone from this machine?"""
    host, pid, start = mode.process.rsplit(":", 2)
    if host == socket.gethostname() and not is_same_process(int(pid), float(start)):
        return "the process that held it is gone"
    return ""


def may_be_tried(mode: ReadOnlyMode, now: datetime) -> bool:
    """Say whether it is time to try again: at once, then after 2 s, 4 s, … and at most a minute."""
    if mode.attempted_at is None or mode.attempted_at > now:
        return True
    return now - mode.attempted_at >= min(_FIRST_PAUSE * (1 << min(mode.attempts - 1, 10)), _LONGEST_PAUSE)


def release_due(installation: Installation, *, by: str, with_command: bool = True) -> list[ReadOnlyMode]:
    """Release what is to be released and can be now; return the modes that were. Raise SQLAlchemyError.

    Not ``with_command``: only the database's setting is put back, where the application is to be told as well.
    Whatever goes wrong with one keeps nobody from the others.
    """
    released = []
    for mode in installation.catalog.read_only_modes.unreleased():
        now = installation.clock()
        try:
            why = due_reason(mode, run_of(installation, mode), now)
            if not why or not may_be_tried(mode, now):
                continue
            if not with_command and mode.command_step:
                _undo(installation, replace(mode, command_step=False))
            elif release(installation, mode, by=f"{by}, since {why}"):
                released.append(mode)
        except Exception:
            logger.exception("read-only mode %s of %s could not be released", mode.id, mode.database)
    return released


def run_of(installation: Installation, mode: ReadOnlyMode) -> Run | None:
    """Return the run that began the mode, as it is now; None when it is not known any more."""
    try:
        return installation.catalog.runs.get(mode.run_id)
    except UnknownName:
        return None


@dataclass(frozen=True)
class Undone:
    """What became of an attempt to release a mode."""

    left: ReadOnlyMode
    """The mode with the steps that are still to be undone."""
    failures: tuple[str, ...] = ()
    away: SQLAlchemyError | None = None
    """What the catalogue raised; then it does not know of all that was undone."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to undo."""
        return not self.left.sql_step and not self.left.command_step


def all_steps(installation: Installation, mode: ReadOnlyMode) -> ReadOnlyMode:
    """Return the mode as if each of its steps had been taken: for when nobody can say which were."""
    off = installation.settings.database(mode.database).read_only_off_command
    return replace(mode, sql_step=not mode.already_read_only, command_step=bool(off))


def release(
    installation: Installation, mode: ReadOnlyMode, *, by: str, tell: Callable[[str], None] | None = None
) -> bool:
    """Undo what is left of a mode; return True once nothing is, False when that was not possible now.

    ``tell`` is given the sentence that goes into the run's log otherwise. What went wrong is in the mode's row, for all
    to see. Raise SQLAlchemyError when the catalogue does not answer: the database is released all the same, only the
    row does not say so yet.
    """
    undone = try_release(installation, mode, by=by, tell=tell)
    if undone.away is not None and not undone.failures:
        raise undone.away
    return undone.is_done


def try_release(
    installation: Installation, mode: ReadOnlyMode, *, by: str, tell: Callable[[str], None] | None = None
) -> Undone:
    """Undo what is left of a mode, as ``release`` does, and return what became of it. Never raises."""
    undone = _undo(installation, mode)
    modes, now = installation.catalog.read_only_modes, installation.clock()
    try:
        if undone.failures:
            modes.note_failure(mode.id, " ".join(undone.failures), now=now)
        elif undone.is_done and undone.away is None and modes.note_released(mode.id, by=by, now=now):
            said = after_release(mode, by)
            if tell is not None:
                tell(said)
            else:
                with suppress(IntegrityError):  # the run's row may be gone
                    installation.catalog.runs.add_log(mode.run_id, [LogLine(now, "info", said)])
    except SQLAlchemyError as error:
        return replace(undone, away=error)
    return undone


def _undo(installation: Installation, mode: ReadOnlyMode) -> Undone:
    """Undo each step by itself: what keeps us from one keeps us not from the other."""
    modes = installation.catalog.read_only_modes
    steps = (("sql_step", _restore_database), ("command_step", _run_off_command))
    undone = Undone(mode)
    for step, undo in steps:
        if not getattr(mode, step):
            continue
        try:
            is_undone = undo(installation, mode)
        except Exception as error:  # whatever it is, it is to be tried again, and to be seen
            if not isinstance(error, BackupsError):
                logger.exception("read-only mode %s: %s was not undone", mode.id, step)
                error = BackupsError(f"Unforeseen: {type(error).__name__}: {error}")
            said = mask(str(error), secrets_of(installation.settings))
            undone = replace(undone, failures=(*undone.failures, said))
            continue
        if is_undone:
            left = undone.left
            left = replace(left, sql_step=False) if step == "sql_step" else replace(left, command_step=False)
            undone = replace(undone, left=left)
            try:
                modes.note_step(mode.id, **{step: False})
            except SQLAlchemyError as error:
                undone = replace(undone, away=error)
    return undone


def _restore_database(installation: Installation, mode: ReadOnlyMode) -> bool:
    def is_ours() -> bool:
        try:
            held = installation.catalog.read_only_modes.unreleased(mode.database)
        except SQLAlchemyError:
            return True
        return not any(other.sql_step and other.id > mode.id for other in held)  # a later one holds it by now

    with visit(installation.settings.database(mode.database)) as connection:
        restore_setting(connection, mode.previous, is_ours)
    return True


def _run_off_command(installation: Installation, mode: ReadOnlyMode) -> bool:
    """Run the application's command; return False when somebody else does just now. Raise BackupsError."""
    database = installation.settings.database(mode.database)
    if not database.read_only_off_command:
        raise BackupsError(
            f"{mode.database} has no read_only_off_command any more, and its read_only_on_command was run.",
            hint="Set it again, or switch the application back by hand and set it to a program that does nothing.",
        )
    engine, modes = installation.catalog.engine, installation.catalog.read_only_modes
    duty, limit = f"read-only off {mode.id}", database.read_only_command_timeout + _CLAIM
    try:
        if not claim_duty(engine, duty, by=process_identity(), every=limit, now=installation.clock()):
            return False
    except SQLAlchemyError:
        pass  # the catalogue is away: better twice than never
    try:
        if _is_to_run(installation, mode):
            end_on_command(installation, mode)
            run_command(installation.settings, database, database.read_only_off_command)
            with suppress(SQLAlchemyError):
                modes.note_step(mode.id, command_step=False)  # before the duty is free for the next
    finally:
        with suppress(SQLAlchemyError):
            drop_duty(engine, duty)
    return True


def _is_to_run(installation: Installation, mode: ReadOnlyMode) -> bool:
    """Say whether the application is still to be told: somebody may have done it since the mode's row was read."""
    try:
        return installation.catalog.read_only_modes.get(mode.id).command_step
    except (SQLAlchemyError, UnknownName):
        return True
