"""Drills of keys in the catalogue: who proved when that a key opens a backup. Never the key itself."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from services.audit.pending import settle
from services.catalog.schema import key_drills


@dataclass(frozen=True)
class KeyDrill:
    """One attempt to open a backup with a key that somebody brought."""

    id: str
    at: datetime
    actor: str
    public_key: str
    """The public half of the key that was brought."""
    backup_id: str | None
    backup_name: str
    """Of which the beginning was decrypted; empty where there was none, and a sealed text was opened alone."""
    storage: str
    passed: bool
    reason: str


class KeyDrillStore:
    """The drills; they are only ever added."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, drill: KeyDrill) -> None:
        """Record a drill."""
        with self._engine.begin() as connection:
            connection.execute(key_drills.insert().values(vars(drill)))
            settle(connection, passed=drill.passed, public_key=drill.public_key)

    def list(self, *, limit: int = 50) -> builtins.list[KeyDrill]:
        """Return the drills, the newest first."""
        query = sa.select(key_drills).order_by(key_drills.c.at.desc(), key_drills.c.id.desc()).limit(limit)
        with self._engine.connect() as connection:
            return [KeyDrill(**row._mapping) for row in connection.execute(query)]

    def last_passed(self) -> dict[str, datetime]:
        """Return by public key when it last opened something."""
        query = (
            sa.select(key_drills.c.public_key, sa.func.max(key_drills.c.at))
            .where(key_drills.c.passed.is_(True))
            .group_by(key_drills.c.public_key)
        )
        with self._engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}
