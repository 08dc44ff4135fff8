"""Verifications and restore tests in the catalogue."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from services.catalog.backups import take_row
from services.catalog.model import Outcome, Verification
from services.catalog.schema import backups, verifications
from services.catalog.verdict import Check, Verdict, judge
from services.errors import UnknownName
from services.names import shortened


class VerificationStore:
    """The verifications. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, verification_id: str) -> Verification:
        """Return a verification. Raise UnknownName."""
        with self._engine.connect() as connection:
            row = connection.execute(
                sa.select(verifications).where(verifications.c.id == verification_id)
            ).one_or_none()
        if row is None:
            raise UnknownName(f"No verification has the id {shortened(verification_id)!r}.")
        return Verification(**row._mapping)

    def list(
        self,
        *,
        backup_id: str | None = None,
        run_id: str | None = None,
        database: str | None = None,
        level: str | None = None,
        outcome: Outcome | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> builtins.list[Verification]:
        """Return verifications, the newest first. Level ``restore`` are the restore tests."""
        query = sa.select(verifications).order_by(verifications.c.finished_at.desc(), verifications.c.id.desc())
        conditions: dict[sa.Column[Any], Any] = {
            verifications.c.backup_id: backup_id,
            verifications.c.run_id: run_id,
            verifications.c.database: database,
            verifications.c.level: level,
            verifications.c.outcome: outcome,
        }
        for column, wanted in conditions.items():
            if wanted is not None:
                query = query.where(column == wanted)
        if since is not None:
            query = query.where(verifications.c.finished_at >= since)
        if limit is not None:
            query = query.limit(limit)
        with self._engine.connect() as connection:
            return [Verification(**row._mapping) for row in connection.execute(query)]

    def add(self, verification: Verification, connection: sa.Connection | None = None) -> None:
        """Add a verification and carry what it found over to its backup; one with this id is replaced.

        *not testable* is neither a pass nor a failure and changes nothing on the backup. The backup shows the
        latest verification by ``finished_at``, whatever the order in which they are added, and a failure stays until
        a check of at least the same depth passes (``services.catalog.verdict``).
        """
        if connection is None:
            with self._engine.begin() as own:
                self._add(verification, own)
        else:
            self._add(verification, connection)

    def _add(self, verification: Verification, connection: sa.Connection) -> None:
        # Two checks that end at once would each miss the other, and the later one overwrite the verdict.
        take_row(verification.backup_id, connection)
        connection.execute(verifications.delete().where(verifications.c.id == verification.id))
        connection.execute(verifications.insert().values(vars(verification)))
        self.settle(verification.backup_id, connection)

    def add_missing(self, verification: Verification, connection: sa.Connection) -> None:
        """Add a verification unless one has its id. Its backup is not touched: ``settle`` does that."""
        there = sa.select(verifications.c.id).where(verifications.c.id == verification.id)
        if connection.scalar(there) is None:
            connection.execute(verifications.insert().values(vars(verification)))

    def settle(self, backup_id: str, connection: sa.Connection) -> None:
        """Have a backup's row say what all of its verifications together say."""
        take_row(backup_id, connection)
        connection.execute(
            backups.update().where(backups.c.id == backup_id).values(self.verdict(backup_id, connection).values())
        )

    def verdict(self, backup_id: str, connection: sa.Connection) -> Verdict:
        """Return what all verifications of a backup together say of it."""
        rows = connection.execute(
            sa.select(*_JUDGED)
            .where(verifications.c.backup_id == backup_id, verifications.c.outcome != "not testable")
            .order_by(verifications.c.finished_at, verifications.c.id)
        ).all()
        return judge(_checks(rows))

    def verdicts(self, backup_ids: Iterable[str], *, before: datetime | None = None) -> dict[str, Verdict]:
        """Return what the verifications of each backup say together, or said of those that ended before. One query."""
        query = (
            sa.select(verifications.c.backup_id, *_JUDGED)
            .where(verifications.c.backup_id.in_(list(backup_ids)), verifications.c.outcome != "not testable")
            .order_by(verifications.c.backup_id, verifications.c.finished_at, verifications.c.id)
        )
        if before is not None:
            query = query.where(verifications.c.finished_at < before)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return {key: judge(_checks(found)) for key, found in groupby(rows, key=lambda row: row.backup_id)}


_JUDGED = (
    verifications.c.level,
    verifications.c.outcome,
    verifications.c.finished_at,
    verifications.c.storage,
    verifications.c.detail["scope"].as_string().label("scope"),
    verifications.c.detail["copy_state"].as_string().label("copy_state"),
    verifications.c.detail["stored_anew"].as_boolean().label("stored_anew"),
)
"""What a verdict is made of."""


def _checks(rows: Iterable[Any]) -> Iterator[Check]:
    for row in rows:
        passed = row.outcome == "passed"
        # records from before there were scopes say it by what they learned of the copy
        of_copy = row.scope == "copy" if row.scope else row.copy_state in ("missing", "damaged")
        anew = bool(row.stored_anew)
        missing = not passed and of_copy and row.copy_state == "missing"
        at = row.finished_at
        yield Check(row.storage, row.level, passed, at, of_copy=of_copy, missing=missing, stored_anew=anew)
