"""Releasing read-only mode: idempotent, by whoever comes first, and tried again until it works.

The run itself does it at its end; the guardian, each worker and each start of ``backups`` do it for a run that is gone
or over its limit; a person does it with a click. Two at once do no harm: the database's setting is put back under a
lock and only while it is the one that we set, and of two that want to run the application's command one does.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from services.catalog.duties import claim_duty, drop_duty
from services.catalog.model import LogLine, Run
from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.commands import mask, run_command
from services.emergency.read_only import restore_setting, visit
from services.errors import BackupsError, UnknownName
from services.installation import Installation
from services.jobs.identity import is_same_process, process_identity
from services.settings.secret_texts import secrets_of

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


def release_due(installation: Installation, *, by: str) -> list[ReadOnlyMode]:
    """Release what is to be released and can be now; return the modes that were. Raise SQLAlchemyError."""
    released = []
    for mode in installation.catalog.read_only_modes.unreleased():
        now = installation.clock()
        why = due_reason(mode, run_of(installation, mode), now)
        if why and may_be_tried(mode, now) and release(installation, mode, by=f"{by}, since {why}"):
            released.append(mode)
    return released


def run_of(installation: Installation, mode: ReadOnlyMode) -> Run | None:
    """Return the run that began the mode, as it is now; None when it is not known any more."""
    try:
        return installation.catalog.runs.get(mode.run_id)
    except UnknownName:
        return None


def release(
    installation: Installation, mode: ReadOnlyMode, *, by: str, tell: Callable[[str], None] | None = None
) -> bool:
    """Undo what is left of a mode; return True once nothing is, False when that was not possible now.

    ``tell`` is given the sentence that goes into the run's log otherwise. What went wrong is in the mode's row, for all
    to see. Raise SQLAlchemyError when the catalogue does not answer: the database is released all the same, only the
    row does not say so yet.
    """
    failures: list[str] = []
    away: SQLAlchemyError | None = None
    done = True
    for undo in (_restore_database, _run_off_command):
        try:
            done &= undo(installation, mode)
        except BackupsError as error:
            failures.append(mask(str(error), secrets_of(installation.settings)))
        except SQLAlchemyError as error:
            away = error
    modes, now = installation.catalog.read_only_modes, installation.clock()
    if failures:
        with suppress(SQLAlchemyError):
            modes.note_failure(mode.id, " ".join(failures), now=now)
        return False
    if away is not None:
        raise away
    if done and modes.note_released(mode.id, by=by, now=now):
        said = f"Read-only mode of {mode.database} is released by {by}: writes are allowed again."
        if tell is not None:
            tell(said)
        else:
            with suppress(IntegrityError):  # the run's row may be gone
                installation.catalog.runs.add_log(mode.run_id, [LogLine(now, "info", said)])
    return done


def _restore_database(installation: Installation, mode: ReadOnlyMode) -> bool:
    if mode.sql_step:
        with visit(installation.settings.database(mode.database)) as connection:
            restore_setting(connection, mode.previous)
        installation.catalog.read_only_modes.note_step(mode.id, sql_step=False)
    return True


def _run_off_command(installation: Installation, mode: ReadOnlyMode) -> bool:
    """Run the application's command; return False when somebody else does just now. Raise BackupsError, …"""
    if not mode.command_step:
        return True
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
        is_left = modes.get(mode.id).command_step  # somebody may have done it since we read the row
    except SQLAlchemyError:
        is_left = True  # the catalogue is away: better twice than never
    try:
        if is_left:
            run_command(installation.settings, database, database.read_only_off_command)
            modes.note_step(mode.id, command_step=False)
    finally:
        drop_duty(engine, duty)
    return True
