"""The record of what passes the gate (``services.commands.gate``): every command, and what became of it.

A command whose change and row are one transaction settles the row there (``services.audit.pending``). Of the others,
those that act outside of the catalogue are recorded as begun before they act. So nothing is done that is not recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from services.access.identity import OWN
from services.audit.head import remember_head
from services.audit.model import AuditRow, Entry, Outcome
from services.audit.pending import pending
from services.audit.record import NotRecorded, record
from services.catalog.schema import audit_log, backups
from services.clock import isoformat
from services.errors import BackupsError, TooManyCommands
from services.installation import Installation

logger = logging.getLogger(__name__)

ACTS_OUTSIDE = frozenset({
    "alert.test", "backup.decrypt", "backup.download", "catalog.rebuild", "compare", "emergency.release",
    "pitr.setup",
})  # fmt: skip
"""Permissions whose commands act where no transaction reaches: recorded as begun first."""
UNRECORDED = frozenset({"read", "audit.read"})
"""Looking at pages and lists; refusals of it are recorded."""
UNSTOPPABLE = frozenset({"emergency.release", "run.cancel"})
"""What ends harm is done even when it cannot be recorded: that goes into the process's own log, loudly."""
MAKES_LINKS = frozenset({"ask_download"})
"""Commands that only say where something can be had; having it is recorded by itself."""
WRITES_ITSELF = frozenset({"verify_audit", "anchor_audit", "accept_audit"})
"""Commands whose work is a row of the log."""
VISITS = {"note_sign_in": "sign_in", "sign_out": "sign_out"}
"""Commands that need no more than the right to look, and are recorded all the same."""
_LEFT_OUT = frozenset({"actor", "reason", "force_reason", "idempotency_key", "queue", "slot"})
_MOST = 200
_ONCE_IN = timedelta(minutes=1)
_NEVER = datetime.min.replace(tzinfo=UTC)
_too_many: dict[str, datetime] = {}
"""When it was recorded of somebody that they asked too often."""
_TARGETS = (
    ("backup_id", "backup"), ("run_id", "run"), ("alert", "alert"), ("schedule", "schedule"), ("who", "person"),
    ("database", "database"), ("storage", "storage"), ("week", "review"), ("note_id", "note"), ("action_id", "action"),
    ("file", "file"), ("path", "file"),
)  # fmt: skip
"""What names the target, the nearest first: an argument, and what it is."""


class Wish(Protocol):
    """What is asked for, as ``services.commands.gate.Wish`` has it."""

    permission: str
    actor: str
    command: str
    arguments: Mapping[str, Any]
    result: Any


@contextmanager
def recorded(installation: Installation, wish: Wish) -> Iterator[None]:
    """Record what becomes of a wish that was let through: done, refused as it was asked for, or failed.

    Raise NotRecorded, but for what is UNSTOPPABLE.
    """
    if wish.permission in UNRECORDED and wish.command not in VISITS:
        yield
        return
    entry = _entry(installation, wish)
    settled: list[AuditRow] = []
    own = wish.actor in OWN
    acts_outside = wish.permission in ACTS_OUTSIDE and wish.command not in MAKES_LINKS
    unless = wish.permission in UNSTOPPABLE
    if acts_outside:
        with _recording(entry, unless):
            record(installation, replace(entry, outcome="begun"))

    def settle(connection: sa.Connection, became: dict[str, Any]) -> None:
        outcome = became.pop("outcome", "done")
        made = replace(entry, outcome=outcome, detail=entry.detail | became)
        with _recording(entry, unless), connection.begin_nested() if unless else nullcontext():
            settled[:] = [record(installation, made, connection)]

    try:
        with pending(settle):
            yield
    except NotRecorded:
        raise
    except BackupsError as error:
        if settled and _is_there(installation, settled[0]):  # a refusal that changed something, recorded with it
            remember_head(installation.settings.home, settled[0].number, settled[0].hash)
        # What the product itself asks for again and again while it is refused would bury everything else.
        elif not own or acts_outside:
            _note(installation, entry, "refused" if error.is_refusal else "failed", error.message)
        raise
    except BaseException as error:
        _note(installation, entry, "failed", type(error).__name__)
        raise
    if settled and _is_there(installation, settled[0]):
        remember_head(installation.settings.home, settled[0].number, settled[0].hash)
    elif wish.command not in WRITES_ITSELF and (not own or acts_outside):
        # The same had been asked for before, say. Of the product itself that is no news.
        with _recording(entry, unless):
            record(installation, replace(entry, detail=entry.detail | _became(wish.result)))


@contextmanager
def _recording(entry: Entry, unless: bool) -> Iterator[None]:
    """Let the block record; ``unless`` it need not be: then what cannot be recorded is logged, and done."""
    try:
        yield
    except NotRecorded as error:
        if not unless:
            raise
        logger.critical("%s of %s is done, and cannot be recorded: %s", entry.action, entry.actor, error.message)


def note_refused(installation: Installation, wish: Wish, error: BackupsError) -> None:
    """Record that a wish was refused to whoever asked. That the record fails is logged: the wish is refused anyway.

    Who is refused for asking too often is recorded once a minute, or the log would be what they fill.
    """
    if isinstance(error, TooManyCommands):
        now = installation.clock()
        if now - _too_many.get(wish.actor, _NEVER) < _ONCE_IN:
            return
        _too_many[wish.actor] = now
    _note(installation, _entry(installation, wish), "refused", error.message)


def _note(installation: Installation, entry: Entry, outcome: Outcome, why: str) -> None:
    try:
        record(installation, replace(entry, outcome=outcome, detail=entry.detail | {"error": why}))
    except NotRecorded:
        logger.exception("%s of %s was %s, and that could not be recorded", entry.action, entry.actor, outcome)


def _is_there(installation: Installation, row: AuditRow) -> bool:
    with installation.catalog.engine.connect() as connection:
        found = connection.scalar(sa.select(audit_log.c.hash).where(audit_log.c.number == row.number))
    return found == row.hash


def _entry(installation: Installation, wish: Wish) -> Entry:
    given = dict(wish.arguments)
    request = given.get("request")
    if is_dataclass(request):
        given |= {each.name: getattr(request, each.name) for each in fields(request)}
        del given["request"]
    kind, target = _target(installation, given)
    reason = str(given.get("reason") or given.get("force_reason") or given.get("note") or "")
    detail = {name: _plain(value) for name, value in given.items() if name not in _LEFT_OUT and _says(value)}
    if wish.command != wish.permission:
        detail["command"] = wish.command
    return Entry(wish.actor, VISITS.get(wish.command, wish.permission), kind, target, reason, detail=detail)


def _target(installation: Installation, given: Mapping[str, Any]) -> tuple[str, str]:
    for name, kind in _TARGETS:
        value = given.get(name)
        if value is None or value == "":
            continue
        return kind, _name_of(installation, str(value)) if kind == "backup" else str(getattr(value, "name", value))
    several = given.get("backup_ids")
    if several:
        if len(several) == 1:
            return "backup", _name_of(installation, str(several[0]))
        return "backup", f"{len(several)} backups"
    return "", ""


def _name_of(installation: Installation, backup_id: str) -> str:
    """Return a backup's name, by which people know it; of one that is not there what was asked for."""
    with installation.catalog.engine.connect() as connection:
        name = connection.scalar(sa.select(backups.c.name).where(backups.c.id == backup_id))
    return name or backup_id


def _became(result: Any) -> dict[str, Any]:
    return {"result": _plain(result)} if isinstance(result, str | list) else {}


def _says(value: Any) -> bool:
    return value is not None and value != "" and value != () and value != [] and value is not False


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; of a long list the beginning and how long it is."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return isoformat(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, date | Path):
        return str(value)
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        listed = [_plain(each) for each in list(value)[:_MOST]]
        return [*listed, f"and {len(value) - _MOST} more"] if len(value) > _MOST else listed
    return str(value)
