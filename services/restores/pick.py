"""Which backup a restore test takes: a random good one of a month, as the runbook's first monthly step chooses it.

Chance, not "the newest": a team that always tests its newest backup never learns whether an older one restores.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

import sqlalchemy as sa

from services.catalog.backups import good
from services.catalog.schema import backups, verifications
from services.errors import InputError, UnknownName
from services.installation import Installation


@dataclass(frozen=True)
class Pick:
    """The backup that was chosen, and from what."""

    backup_id: str
    name: str
    database: str
    snapshot_at: datetime
    month: datetime
    """The first instant of the month that was asked for."""
    candidates: int
    """Good backups of that month that still have a stored copy; 0: the one that was taken is of another month."""
    remark: str
    """What a person should know of the choice; empty when it is as it was asked for."""


def parse_month(text: str, now: datetime) -> datetime:
    """Given ``last``, ``this`` or ``2026-10``, return the first instant of that UTC month.

    Raise InputError for anything else, and for a month that has not begun.
    """
    this = _month(now)
    if text == "last":
        return _month(datetime.fromtimestamp(this.timestamp() - 1, UTC))
    if text == "this":
        return this
    try:
        month = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise InputError(f"{text!r} is no month.", hint="Write last, this or 2026-10.") from error
    if month > this:
        raise InputError(f"{text} has not begun yet.", hint="Write last, this or a month of the past.")
    return month


def pick_backup(installation: Installation, database: str, *, month: datetime, seed: str) -> Pick:
    """Choose one of a month's good backups by chance; the same seed and catalogue give the same one.

    Those that no restore test has passed or failed yet come first. A month without a good backup gives the newest good
    one there is, and says so. Raise UnknownName when there is none at all.
    """
    rows = _good_backups(installation, database, month)
    chosen_from = [row for row in rows if not row.tested] or rows
    if chosen_from:
        row = Random(f"{database} {seed}").choice(chosen_from)  # nosec B311  # noqa: S311 - chance, no secret
        remark = "" if not row.tested else f"Every good backup of {month:%B %Y} was restore-tested before."
        return Pick(row.id, row.name, database, row.snapshot_at, month, len(rows), remark)
    newest = installation.catalog.backups.latest_good(database)
    if newest is None:
        raise UnknownName(f"There is no good backup of {database} yet.", hint="Run `backups create`.")
    remark = f"No good backup of {month:%B %Y} is stored; this is the newest good one."
    return Pick(newest.id, newest.name, database, newest.snapshot_at, month, 0, remark)


def _good_backups(installation: Installation, database: str, month: datetime) -> list[sa.Row[tuple[str, ...]]]:
    b, v = backups.c, verifications.c
    tested = sa.exists().where(v.backup_id == b.id, v.level == "restore", v.outcome != "not testable")
    query = sa.select(b.id, b.name, b.snapshot_at, tested.label("tested"))
    query = query.where(b.database == database, good(), b.snapshot_at >= month, b.snapshot_at < _next(month))
    with installation.catalog.engine.connect() as connection:
        return list(connection.execute(query.order_by(b.id)))


def _month(at: datetime) -> datetime:
    at = at.astimezone(UTC)
    return datetime(at.year, at.month, 1, tzinfo=UTC)


def _next(month: datetime) -> datetime:
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)
