"""Writing the audit log. What cannot be recorded is not done: a failure to write is the caller's failure.

A row is written in the caller's transaction where there is one, so that neither is there without the other.
"""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from services.audit.head import remember_head
from services.audit.model import (
    FIRST_PREVIOUS,
    MAX_NAME,
    MAX_REASON,
    SEAL,
    AuditRow,
    Entry,
    row_hash,
    seal_of,
)
from services.audit.origin import present_origin
from services.audit.text import Cleaner
from services.catalog.schema import audit_log
from services.errors import BackupsError
from services.installation import Installation
from services.own_key import key_id, own_key

_LOCK = 727_166_402
"""PostgreSQL's advisory lock: any constant, the same for every process that writes to this log."""


class NotRecorded(BackupsError):
    """What was asked for could not be written into the audit log, and so was not done."""


def record(installation: Installation, entry: Entry, connection: sa.Connection | None = None) -> AuditRow:
    """Add a row and return it; inside ``connection``'s transaction if one is given. Raise NotRecorded.

    The rows have one order: whoever writes waits for whoever writes, to the end of that transaction. So write the
    row last in it.
    """
    try:
        key = own_key(installation.settings, SEAL)
        if connection is not None:
            return _append(connection, installation, entry, key)
        with installation.catalog.engine.begin() as own:
            row = _append(own, installation, entry, key)
    except (sa.exc.SQLAlchemyError, BackupsError) as error:
        why = error.message if isinstance(error, BackupsError) else f"the catalogue said {type(error).__name__}"
        raise NotRecorded(
            f"{entry.action} could not be recorded in the audit log: {why}. It was not done.",
            hint="See `backups audit verify`, and whether the catalogue can be written to.",
        ) from error
    remember_head(installation.settings.home, row.number, row.hash)
    return row


def take_turn(connection: sa.Connection) -> None:
    """Have everybody else who writes to the log wait until the connection's transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    else:
        # Any change begins the transaction with SQLite's one lock; this one changes nothing.
        connection.execute(audit_log.update().where(sa.false()).values(number=audit_log.c.number))


def newest(connection: sa.Connection) -> tuple[int, str]:
    """Return the newest row's number and hash; of an empty log 0 and what row 1 names as the hash before it."""
    found = connection.execute(
        sa.select(audit_log.c.number, audit_log.c.hash).order_by(audit_log.c.number.desc()).limit(1)
    ).one_or_none()
    if found is None:
        return 0, FIRST_PREVIOUS
    if not isinstance(found.number, int) or not isinstance(found.hash, str):  # SQLite takes anything
        raise BackupsError("the newest row of the audit log has no number or hash")
    return found.number, found.hash


def _append(connection: sa.Connection, installation: Installation, entry: Entry, key: bytes) -> AuditRow:
    clean = Cleaner(installation.settings)
    take_turn(connection)
    number, previous = newest(connection)
    row = AuditRow(
        number=number + 1,
        at=installation.clock(),
        actor=clean.text(entry.actor),
        origin=clean.text(present_origin() if entry.origin is None else entry.origin),
        action=clean.text(entry.action, 60),
        target_kind=clean.text(entry.target_kind, 20),
        target=clean.text(entry.target, MAX_NAME),
        reason=clean.text(entry.reason, MAX_REASON),
        outcome=entry.outcome,
        detail=clean.detail(entry.detail),
        previous=previous,
        hash="",
        seal="",
    )
    digest = row_hash(row)
    row = replace(row, hash=digest, seal=seal_of(key, key_id(key), digest))
    connection.execute(audit_log.insert().values(vars(row)))
    return row
