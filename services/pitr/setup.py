"""Doing what SQL can do to make a server ready for point in time, and saying what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import sql

from services.errors import InputError
from services.pitr import remedies as mend
from services.pitr.our_command import EXAMPLE_CONFIG, EXAMPLE_PROGRAM, OUR_COMMAND
from services.pitr.server_facts import QUESTION_LIMIT
from services.pitr.status import PitrStatus
from services.pitr.status_check import StatusCheck
from services.postgres.connection import Address, connect

_OURS_TO_GATE = ("archive_mode", "archive_command")
"""Not set without being told the command: a server that archives by one that fails keeps its log until its disk is
full."""

_RELOAD = "SELECT pg_reload_conf();"
_GRANTABLE = 150000
"""From this version on a superuser can let others set a parameter."""

Outcome = Literal["done", "failed", "by hand"]


@dataclass(frozen=True)
class Step:
    """One step of the setup, and what became of it."""

    check: str
    statement: str
    outcome: Outcome
    said: str = ""
    """Why it failed, or why it is to be done by hand."""
    restart: bool = False
    """It counts once the server was restarted."""


def open_checks(status: PitrStatus) -> list[StatusCheck]:
    """Return the checks that are not well and that something mends, in the order in which it is to be done."""
    found = [check for check in status.checks if check.severity != "ok" and check.remedy is not None]
    return sorted(found, key=_place)


def _place(check: StatusCheck) -> int:
    """What counts at once; what wants a restart; archive_mode; what works only after that restart."""
    if is_after_restart(check):
        return 3
    if check.name == "archive_mode":  # a server with it and no command keeps all of its log: the command first
        return 2
    return 1 if check.remedy is not None and check.remedy.then == "restart" else 0


def is_after_restart(check: StatusCheck) -> bool:
    """Say whether what mends it does something only once the server was restarted, where it has to be."""
    return check.name in ("archiver", "slot") and check.remedy is not None and check.remedy.then != "restart"


def script(status: PitrStatus) -> list[str]:
    """Return the whole setup as lines that psql takes, in order; what SQL cannot do stands there as a comment."""
    waiting = open_checks(status)
    remedies = [(check, check.remedy) for check in waiting if check.remedy is not None]
    restarts = [check.name for check, remedy in remedies if remedy.then == "restart"]
    lines: list[str] = []
    is_reloaded = is_restarted = False
    for check, remedy in remedies:
        if remedy.then == "restart" or is_after_restart(check):
            if not is_reloaded and any(other.then == "reload" for _, other in remedies):
                lines.append(_RELOAD)
            is_reloaded = True
        if is_after_restart(check) and restarts and not is_restarted:
            lines.append(_restart(restarts))
            is_restarted = True
        lines.append(f"-- {check.message} {check.hint}".rstrip())
        lines += remedy.statements
        if remedy.by_hand:
            lines.append(f"-- By hand, on its host: {remedy.by_hand}")
    if not is_reloaded and any(remedy.then == "reload" for _, remedy in remedies):
        lines.append(_RELOAD)
    if restarts and not is_restarted:
        lines.append(_restart(restarts))
    return lines


def _restart(names: Sequence[str]) -> str:
    return f"-- Restart the server now: {', '.join(names)} {'counts' if len(names) == 1 else 'count'} from then on."


def apply_setup(address: Address, status: PitrStatus, *, archive_command: str | None = None) -> list[Step]:
    """Do what SQL can do, a statement after the other; what is refused does not keep the others from being done.

    ``archive_command`` and ``archive_mode`` are set only with the command given, which must call ours.
    Raise InputError, ConnectionFailed.
    """
    if archive_command is not None and OUR_COMMAND not in archive_command:
        raise InputError(
            f"This archive_command does not call `backups {OUR_COMMAND}`.",
            hint=f"For example: env BACKUPS_CONFIG={EXAMPLE_CONFIG} {EXAMPLE_PROGRAM} {OUR_COMMAND} %p",
        )
    steps: list[Step] = []
    waiting = open_checks(status)
    restart = any(check.remedy is not None and check.remedy.then == "restart" for check in waiting)
    with connect(address) as connection:
        connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [QUESTION_LIMIT])
        for check in waiting:
            if restart and is_after_restart(check) and check.remedy is not None:
                steps.append(Step(check.name, check.remedy.text(), "by hand", "after the restart"))
            else:
                steps += _steps_of(connection, check, archive_command)
        if any(step.outcome == "done" for step in steps):
            try:
                connection.execute(_RELOAD.encode())
            except psycopg.Error as error:
                steps.append(Step("reload", _RELOAD, "failed", _refused(error, connection, _RELOAD)))
    return steps


def _steps_of(
    connection: psycopg.Connection[object], check: StatusCheck, archive_command: str | None
) -> Sequence[Step]:
    remedy = check.remedy
    assert remedy is not None, "open_checks returns those with one"
    if check.name == "archive_command" and archive_command is not None:
        remedy = mend.alter_system("archive_command", archive_command)
    elif check.name in _OURS_TO_GATE and archive_command is None:
        why = "say which command works on the server's host: --archive-command"
        return [Step(check.name, remedy.text(), "by hand", why, remedy.then == "restart")]
    if remedy.by_hand:
        return [Step(check.name, remedy.text(), "by hand", "SQL cannot do it")]
    steps = []
    for statement in remedy.statements:
        try:
            connection.execute(statement.encode())
            steps.append(Step(check.name, statement, "done", restart=remedy.then == "restart"))
        except psycopg.Error as error:
            said = _refused(error, connection, statement)
            return [*steps, Step(check.name, statement, "failed", said)]
    return steps


def _refused(error: psycopg.Error, connection: psycopg.Connection[object], statement: str) -> str:
    """Say why a statement failed, and of a right that is wanting, how a superuser gives it to the role."""
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    if not isinstance(error, psycopg.errors.InsufficientPrivilege):
        return said
    role = sql.Identifier(connection.info.user).as_string()
    grant = ""
    if statement.startswith("ALTER SYSTEM SET ") and connection.info.server_version >= _GRANTABLE:
        grant = f"GRANT ALTER SYSTEM ON PARAMETER {statement.split()[3]} TO {role};"
    elif "replication_slot" in statement:
        grant = mend.may_replicate(connection.info.user).text()
    for function in ("pg_reload_conf()", "pg_switch_wal()"):
        if function in statement:
            grant = f"GRANT EXECUTE ON FUNCTION {function} TO {role}; (in {connection.info.dbname})"
    if not grant:
        return f"{said}. Only a superuser may: run it as one"
    return f"{said}. Run it as a superuser, or let one grant it: {grant}"
