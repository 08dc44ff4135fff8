"""Doing what SQL can do to make a server ready for point in time, and saying what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import psycopg

from services.errors import InputError
from services.pitr import remedies as mend
from services.pitr.server_checks import OUR_COMMAND
from services.pitr.server_facts import QUESTION_LIMIT
from services.pitr.status import PitrStatus
from services.pitr.status_check import StatusCheck
from services.postgres.connection import Address, connect

_OURS_TO_GATE = ("archive_mode", "archive_command")
"""Not set without being told the command: a server that archives by one that fails keeps its log until its disk is
full."""

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
    # a server with archive_mode and no command keeps all of its log: the command first
    return sorted(found, key=lambda check: check.name == "archive_mode")


def apply_setup(address: Address, status: PitrStatus, *, archive_command: str | None = None) -> list[Step]:
    """Do what SQL can do, a statement after the other; what is refused does not keep the others from being done.

    ``archive_command`` and ``archive_mode`` are set only with the command given, which must call ours.
    Raise InputError, ConnectionFailed.
    """
    if archive_command is not None and OUR_COMMAND not in archive_command:
        raise InputError(
            f"This archive_command does not call `backups {OUR_COMMAND}`.",
            hint="For example: env BACKUPS_CONFIG=/etc/backups.toml /usr/local/bin/backups pitr wal-push %p",
        )
    steps: list[Step] = []
    with connect(address) as connection:
        connection.execute("SELECT pg_catalog.set_config('statement_timeout', %s, false)", [QUESTION_LIMIT])
        for check in open_checks(status):
            steps += _steps_of(connection, check, archive_command)
        if any(step.outcome == "done" for step in steps):
            connection.execute("SELECT pg_catalog.pg_reload_conf()")
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
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            return [*steps, Step(check.name, statement, "failed", said)]
    return steps
