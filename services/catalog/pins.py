"""Pins in the catalogue: who pinned a backup, or took the pin away, and whether that is stored beside it as well."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from services.catalog.schema import backups, pins


@dataclass(frozen=True)
class Pin:
    """The last word on whether a backup is pinned."""

    backup_id: str
    pinned: bool
    at: datetime
    actor: str
    reason: str
    stored: bool = False
    """Whether a mark beside each copy says so: without one the pin is lost with the catalogue."""


class PinStore:
    """The pins. Every method is one transaction, or part of the caller's."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, backup_id: str, connection: sa.Connection | None = None) -> Pin | None:
        """Return the last word on a backup; None where it is what was asked for when the backup was made."""
        query = sa.select(pins).where(pins.c.backup_id == backup_id)
        if connection is not None:
            row = connection.execute(query).one_or_none()
        else:
            with self._engine.connect() as own:
                row = own.execute(query).one_or_none()
        return None if row is None else Pin(**row._mapping)

    def waiting(self, *, limit: int = 1000) -> builtins.list[Pin]:
        """Return the pins that are not stored beside their backups yet, the oldest first."""
        query = sa.select(pins).where(pins.c.stored.is_(False)).order_by(pins.c.at).limit(limit)
        with self._engine.connect() as connection:
            return [Pin(**row._mapping) for row in connection.execute(query)]

    def set(self, pin: Pin, connection: sa.Connection) -> None:
        """Put a pin on its backup, or take it off."""
        connection.execute(backups.update().where(backups.c.id == pin.backup_id).values(pinned=pin.pinned))
        connection.execute(pins.delete().where(pins.c.backup_id == pin.backup_id))
        connection.execute(pins.insert().values(vars(pin)))

    def set_stored(self, pin: Pin) -> None:
        """Note that a pin is stored beside its backup, unless another word was said since."""
        with self._engine.begin() as connection:
            connection.execute(
                pins.update().where(pins.c.backup_id == pin.backup_id, pins.c.at == pin.at).values(stored=True)
            )
