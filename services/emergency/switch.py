"""Read-only mode around a block of work: written down, guarded, switched on, and released whatever happens.

Order: the row in the catalogue says what is going to be done before it is; a guardian is on its post before anything is
switched; each step is noted before it is taken. So whatever dies at whatever moment, somebody knows what to undo.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from services.catalog.read_only_modes import ReadOnlyMode
from services.emergency.commands import run_command, shown
from services.emergency.guardian import guarded_by_process
from services.emergency.read_only import (
    ReadOnlyFacts,
    end_sessions,
    find_sessions,
    read_facts,
    server_time,
    switch_on,
    visit,
)
from services.emergency.release import release
from services.emergency.request import EmergencyRequest
from services.errors import BackupsError, InputError, TimedOut
from services.ids import new_id
from services.installation import Installation
from services.jobs.context import RunContext
from services.jobs.identity import process_identity
from services.settings.model import DatabaseSettings
from services.units import format_limit

logger = logging.getLogger(__name__)

FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.2, 2.0
TELL_SECONDS = 60.0
GONE_SECONDS = 15.0
"""How long sessions that were told to end may take."""
_TRIES = 2


@contextmanager
def read_only_mode(installation: Installation, request: EmergencyRequest, run: RunContext) -> Iterator[ReadOnlyMode]:
    """Hold the database in read-only mode while the block runs, at most for the limit; then as it was before.

    Raise InputError when we may not switch it, TimedOut when sessions outlast the wait (``wait-or-stop``), BackupsError
    for what the server, the guardian or the application's command refuses: it is released then, too.
    """
    database = installation.settings.database(request.database)
    run.phase("switching to read-only mode")
    _release_earlier(installation, database)
    with visit(database) as connection:
        facts = read_facts(connection, database)
    refuse_switch(database, facts)
    mode = _write_down(installation, request, database, facts, run)
    is_on = False
    try:
        with guarded_by_process(installation, mode):
            _switch_on(installation, database, mode, request, run)
            is_on = True
            yield mode
    finally:
        _release(installation, mode, run, half_way=not is_on)


def refuse_switch(database: DatabaseSettings, facts: ReadOnlyFacts) -> None:
    """Raise InputError when the database cannot be switched by us."""
    if facts.is_standby:
        raise InputError(
            f"The server of {database.name} is a standby: its primary must be switched, not it.",
            hint="Set owner_url (BACKUP_OWNER_URL) to the primary's, or back up without read-only mode.",
        )
    if not facts.is_read_only and not facts.may_switch:
        raise InputError(
            f"The user {facts.user} is neither the owner of {database.name} nor a superuser, and may not switch it.",
            hint="Set owner_url (BACKUP_OWNER_URL) to the owner's URL, or back up without read-only mode.",
        )


def _release_earlier(installation: Installation, database: DatabaseSettings) -> None:
    """Undo what an earlier emergency backup left: else its setting would be taken for what was there before."""
    for mode in installation.catalog.read_only_modes.unreleased(database.name):
        if not release(installation, mode, by="the next emergency backup"):
            left = installation.catalog.read_only_modes.get(mode.id)
            raise BackupsError(
                f"An earlier read-only mode of {database.name} could not be released: {left.last_error}",
                hint="See `backups read-only`.",
            )


def _write_down(
    installation: Installation,
    request: EmergencyRequest,
    database: DatabaseSettings,
    facts: ReadOnlyFacts,
    run: RunContext,
) -> ReadOnlyMode:
    now = installation.clock()
    mode = ReadOnlyMode(
        id=new_id(now),
        database=database.name,
        run_id=run.run_id,
        attempt=run.attempt,
        process=process_identity(),
        actor=run.actor,
        reason=request.reason,
        began_at=now,
        release_by=now + request.limit_of(database),
        previous=facts.setting,
        already_read_only=facts.is_read_only,
    )
    with run.guarded() as transaction:
        installation.catalog.read_only_modes.add(mode, transaction)
    return mode


def _switch_on(
    installation: Installation,
    database: DatabaseSettings,
    mode: ReadOnlyMode,
    request: EmergencyRequest,
    run: RunContext,
) -> None:
    modes = installation.catalog.read_only_modes
    if mode.already_read_only:
        run.log(f"{database.name} is read-only already; its setting is left as it is.")
        with visit(database) as connection:
            since = server_time(connection)
    else:
        run.check_cancelled()
        _refuse_released(modes.note_step(mode.id, sql_step=True))
        with visit(database) as connection:
            since = switch_on(connection, mode.previous)
        run.log(
            f"{database.name} is in read-only mode for {format_limit(request.limit_of(database))} at most: "
            "new sessions cannot write."
        )
    if database.read_only_on_command:
        run.check_cancelled()
        _refuse_released(modes.note_step(mode.id, command_step=True))
        said = run_command(installation.settings, database, database.read_only_on_command, run=run)
        run.log(f"{shown(installation.settings, database.read_only_on_command)}: done. {said}".strip())

    # Had somebody released it between a step's note and the step, nobody would know of the step.
    def is_held() -> bool:
        return modes.get(mode.id).released_at is None

    _refuse_released(is_held())
    if not _end_writers(database, since, request, run, is_held):
        run.log("Read-only mode was released meanwhile; the backup goes on, and so do writes.", "warning")


def _refuse_released(is_held: bool) -> None:
    if not is_held:
        raise TimedOut(
            "Read-only mode was released, by its limit or by somebody, before it was quite on.",
            hint="Start again, with a longer limit if that was it.",
        )


def _end_writers(
    database: DatabaseSettings,
    since: datetime,
    request: EmergencyRequest,
    run: RunContext,
    is_held: Callable[[], bool],
) -> bool:
    """See to it that no session is left that began before the mode: such a one can still write.

    Return False when the mode was released meanwhile: then nobody is ended any more.
    """
    run.phase("ending sessions that can write")
    if request.sessions != "end":
        left = _wait(database, since, request.wait, run, is_held)
        if left and request.sessions == "wait-or-stop":
            raise TimedOut(
                f"After {format_limit(request.wait)} {_count(left)} could still write to {database.name}.",
                hint="Wait longer, or have them ended: `--sessions end`.",
            )
    if not is_held():
        return False
    with visit(database) as connection:
        sessions = find_sessions(connection, database, before=since)
        refused = end_sessions(connection, sessions)
    if refused:
        users = ", ".join(sorted({session.user for session in refused}))
        raise InputError(
            f"Sessions of {users} can still write to {database.name}, and may not be ended by us.",
            hint="GRANT pg_signal_backend to the user of the database's URL; a superuser's sessions: end them by hand.",
        )
    left = _wait(database, since, timedelta(seconds=GONE_SECONDS), run, is_held)
    if left:
        raise TimedOut(f"{_count(left)} did not end in {GONE_SECONDS:.0f} s.", hint="Look at pg_stat_activity.")
    run.log(f"{_count(len(sessions))} ended. Nobody who was connected before can write any more.")
    return True


def _wait(
    database: DatabaseSettings, since: datetime, limit: timedelta, run: RunContext, is_held: Callable[[], bool]
) -> int:
    """Wait until no earlier session is left, the limit has passed or the mode is released; return how many are left."""
    end, told, pause = time.monotonic() + limit.total_seconds(), time.monotonic(), FIRST_LOOK_SECONDS
    while True:
        with visit(database) as connection:
            left = len(find_sessions(connection, database, before=since))
        now = time.monotonic()
        if not left or now >= end or not is_held():
            return left if is_held() else 0
        if now - told > TELL_SECONDS:
            run.log(f"Waiting for {_count(left)} to end.")
            told = now
        run.check_cancelled()
        time.sleep(min(pause, max(0.0, end - now)))
        pause = min(2 * pause, LOOK_SECONDS)


def _count(sessions: int) -> str:
    return f"{sessions} {'session' if sessions == 1 else 'sessions'}"


def _release(installation: Installation, mode: ReadOnlyMode, run: RunContext, *, half_way: bool) -> None:
    """Release it now; what cannot be undone now is tried again by the guardian and by each worker. Never raises.

    ``half_way``: the switch did not get to its end, so that a step may have been taken after somebody's release.
    """
    modes = installation.catalog.read_only_modes
    database = installation.settings.database(mode.database)
    all_steps = replace(mode, sql_step=not mode.already_read_only, command_step=bool(database.read_only_off_command))
    try:
        for number in range(_TRIES):
            if number:
                time.sleep(FIRST_LOOK_SECONDS)
            fresh = modes.get(mode.id)
            if fresh.released_at is not None and not half_way:
                return
            left = fresh if fresh.released_at is None else all_steps
            if release(installation, left, by="its run", tell=run.log):
                return
        why = modes.get(mode.id).last_error
        run.log(f"Read-only mode could not be released yet and is tried again: {why}", "error")
    except (SQLAlchemyError, BackupsError):
        logger.exception("read-only mode %s: the catalogue does not answer; releasing all that may be on", mode.id)
        with suppress(SQLAlchemyError):  # its row will be put right by the guardian, or a worker
            release(installation, all_steps, by="its run")
