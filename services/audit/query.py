"""Looking rows up: by person, action, outcome, target and time; as many queries for a hundred rows as for millions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.audit.model import AuditRow, Outcome, instant_text
from services.audit.stored import stored_rows, to_row
from services.audit.walk import ANCHOR
from services.audit.watch import VERIFY
from services.catalog.schema import audit_log
from services.csv_export import csv_text
from services.installation import Installation

PAGE = 100
_BLOCK = 1000
COLUMNS = ("number", "at", "actor", "origin", "action", "target_kind", "target", "reason", "outcome", "detail",
           "previous", "hash", "seal")  # fmt: skip


@dataclass(frozen=True)
class AuditQuery:
    """Which rows are asked for; None is any."""

    actor: str | None = None
    action: str | None = None
    outcome: Outcome | None = None
    target: str | None = None
    """A part of its name, whatever the case."""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class AuditPage:
    """Some rows, the newest first, and what there is to choose from."""

    rows: tuple[AuditRow, ...]
    total: int
    """How many fit."""
    actors: tuple[str, ...]
    actions: tuple[str, ...]


@dataclass(frozen=True)
class AuditState:
    """When the log was verified and anchored last, as it says itself."""

    verified: AuditRow | None
    anchored: AuditRow | None


def load_page(installation: Installation, wanted: AuditQuery, *, page: int = 1) -> AuditPage:
    """Return one page of rows, the newest first, with the people and actions of all rows. Four queries."""
    where = conditions(wanted)
    with installation.catalog.engine.connect() as connection:
        total = connection.scalar(sa.select(sa.func.count()).select_from(audit_log).where(*where)) or 0
        rows = connection.execute(_newest_first(wanted).limit(PAGE).offset((max(page, 1) - 1) * PAGE)).all()
        actors, actions = (
            tuple(connection.scalars(sa.select(column).distinct().order_by(column)))
            for column in (audit_log.c.actor, audit_log.c.action)
        )
    return AuditPage(tuple(map(to_row, rows)), total, actors, actions)


def load_state(installation: Installation) -> AuditState:
    """Return when the log was verified and anchored last. Two queries."""
    with installation.catalog.engine.connect() as connection:
        found = []
        for action in (VERIFY, ANCHOR):
            query = stored_rows().where(audit_log.c.action == action).order_by(audit_log.c.number.desc())
            row = connection.execute(query.limit(1)).one_or_none()
            found.append(None if row is None else to_row(row))
    return AuditState(*found)


def find_rows(installation: Installation, wanted: AuditQuery, *, limit: int | None = None) -> Iterator[AuditRow]:
    """Yield rows, the newest first, as they are read."""
    query = _newest_first(wanted)
    with installation.catalog.engine.connect() as connection:
        options = connection.execution_options(yield_per=_BLOCK)
        with options.execute(query if limit is None else query.limit(limit)) as found:
            for row in found:
                yield to_row(row)


def conditions(wanted: AuditQuery) -> list[sa.ColumnElement[bool]]:
    """Return what a row must fulfil."""
    c = audit_log.c
    found: list[sa.ColumnElement[bool]] = []
    if wanted.actor is not None:
        found.append(c.actor == wanted.actor)
    if wanted.action is not None:
        found.append(c.action == wanted.action)
    if wanted.outcome is not None:
        found.append(c.outcome == wanted.outcome)
    if wanted.target:
        found.append(c.target.icontains(wanted.target, autoescape=True))
    if wanted.since is not None:
        found.append(c.at >= wanted.since)
    if wanted.until is not None:
        found.append(c.at < wanted.until)
    return found


def row_form(row: AuditRow) -> dict[str, Any]:
    """Return a row for JSON: as it was hashed, with hash and seal; ``detail`` is text that holds JSON."""
    return {name: getattr(row, name) for name in COLUMNS} | {"at": instant_text(row.at)}


def as_csv(rows: Iterator[AuditRow]) -> Iterator[str]:
    """Yield rows as CSV that a spreadsheet opens as data."""
    return csv_text(COLUMNS, (tuple(row_form(row).values()) for row in rows))


def as_json(rows: Iterator[AuditRow]) -> Iterator[str]:
    """Yield rows as JSON, one object a line between brackets, ASCII alone."""
    yield "["
    for n, row in enumerate(rows):
        yield f"{',' if n else ''}\n{json.dumps(row_form(row))}"
    yield "\n]\n"


def _newest_first(wanted: AuditQuery) -> sa.Select[Any]:
    return stored_rows().where(*conditions(wanted)).order_by(audit_log.c.number.desc())
