"""Which copies are being thawed or are thawed, and the worker's look at how far they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.backups.thaw_state import expected_at, look_at_thaw
from services.catalog.copies import somewhere
from services.catalog.model import Copy
from services.catalog.schema import backups, copies
from services.errors import BackupsError
from services.installation import Installation
from services.storage.classes import FROZEN

logger = logging.getLogger(__name__)

_LOOKED_AT = 50


@dataclass(frozen=True)
class Thaw:
    """A copy in cold storage of which a thaw was asked for."""

    backup_id: str
    backup_name: str
    database: str
    copy: Copy

    @property
    def expected_at(self) -> datetime | None:
        """When it is readable at the latest, as a rule; None once it is."""
        return expected_at(self.copy)


def find_thaws(installation: Installation) -> list[Thaw]:
    """Return the copies that are being thawed, then those that are thawed, the longest asked for first. One query."""
    asked = sa.or_(copies.c.thaw_requested_at.is_not(None), copies.c.thawed_until.is_not(None))
    order = (copies.c.thawed_at.is_not(None), copies.c.thaw_requested_at, copies.c.backup_id)
    return _find(installation, asked, order, limit=None)


def find_frozen(installation: Installation, *, limit: int = 200) -> list[Thaw]:
    """Return copies that lie frozen and that nobody has asked to be thawed, the newest backups first. One query."""
    frozen = sa.and_(
        copies.c.storage_class.in_(FROZEN), copies.c.thaw_requested_at.is_(None), copies.c.thawed_until.is_(None)
    )
    return _find(installation, frozen, (backups.c.finished_at.desc(), copies.c.backup_id), limit=limit)


def _find(
    installation: Installation, which: sa.ColumnElement[bool], order: Sequence[Any], *, limit: int | None
) -> list[Thaw]:
    query = (
        sa.select(backups.c.name, backups.c.database, copies)
        .join_from(copies, backups)
        .where(which, copies.c.state == "stored", somewhere())
        .order_by(*order)
        .limit(limit)
    )
    with installation.catalog.engine.connect() as connection:
        return [_to_thaw(dict(row._mapping)) for row in connection.execute(query)]


def look_at_thaws(installation: Installation) -> None:
    """Ask the storages about copies that are being thawed, and about those whose time is over."""
    now = installation.clock()
    for thaw in find_thaws(installation)[:_LOOKED_AT]:
        until = thaw.copy.thawed_until
        if until is not None and until > now:
            continue
        try:
            look_at_thaw(installation, thaw.backup_id, thaw.copy)
        except BackupsError as error:
            logger.warning("the thaw of %s in %s was not looked at: %s", thaw.backup_name, thaw.copy.storage, error)


def _to_thaw(values: dict[str, Any]) -> Thaw:
    name, database, backup_id = values.pop("name"), values.pop("database"), values.pop("backup_id")
    return Thaw(backup_id, name, database, Copy(**values))
