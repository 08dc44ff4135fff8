"""What each storage held at the end of each week, and in how many days it will be full.

A copy counts from when its backup was finished until that expired. One that was found missing counts until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time

import sqlalchemy as sa

from services.capacity.growth import WINDOW, add_up, days_until, levels, slope_per_day
from services.catalog.schema import backups, copies
from services.catalog.usage import OCCUPYING, changes
from services.catalog.wal_archives import wal_levels_since
from services.errors import StorageError
from services.installation import Installation
from services.review.week import Period
from services.settings.model import StorageSettings


def used_at_ends(engine: sa.Engine, weeks: Sequence[Period]) -> dict[str, tuple[int, ...]]:
    """Return the bytes in each storage at the end of each week, oldest first, by the storage's name. Two queries."""
    columns = [backups.c[name] for name in ("id", "finished_at", "expired_at")]
    alive = sa.union_all(
        sa.select(*columns).where(backups.c.expired_at.is_(None), backups.c.finished_at < weeks[-1].end),
        sa.select(*columns).where(backups.c.expired_at >= weeks[0].end, backups.c.finished_at < weeks[-1].end),
    )
    # Materialized: two ranges of an index, from which the copies are found, instead of all copies there ever were.
    b, c = alive.cte("alive").prefix_with("MATERIALIZED").c, copies.c
    there = []
    for n, week in enumerate(weeks):
        kept = sa.or_(b.expired_at >= week.end, c.state.in_(OCCUPYING), c.checked_at >= week.end)
        held = sa.and_(b.finished_at < week.end, sa.or_(b.expired_at.is_(None), b.expired_at >= week.end), kept)
        there.append(sa.func.coalesce(sa.func.sum(sa.case((held, c.bytes))), 0).label(f"end_{n}"))
    query = sa.select(c.storage, *there).where(c.backup_id == b.id, c.state.in_((*OCCUPYING, "missing", "deleted")))
    query = query.group_by(c.storage)
    with engine.connect() as connection:
        found = {row[0]: tuple(int(value) for value in row[1:]) for row in connection.execute(query)}
    return _with_logs(engine, weeks, found)


def _with_logs(
    engine: sa.Engine, weeks: Sequence[Period], found: dict[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
    """Add what the logs took up at the end of each week, by the last listing before it."""
    seen = wal_levels_since(engine, weeks[0].end.astimezone(UTC).date())
    for storage in {level.storage for level in seen}:
        ends = []
        for week in weeks:
            last = {one.database: one.bytes for one in seen if one.storage == storage and one.day < week.end.date()}
            ends.append(sum(last.values()))
        copied = found.get(storage, (0,) * len(weeks))
        found[storage] = tuple(one + other for one, other in zip(copied, ends, strict=True))
    return found


def full_in_days(
    inst: Installation, storages: Iterable[StorageSettings], used: Mapping[str, int], until: datetime
) -> dict[str, int | None]:
    """Return in how many days these storages are full, at the pace by which the storage page tells it. One query.

    ``used``: the bytes in each storage at ``until``. None where nothing bounds it, or it does not grow.
    """
    last = until.astimezone(UTC).date()
    first = last - WINDOW
    past = [c for c in changes(inst.catalog.engine, since=datetime.combine(first, time(), tzinfo=UTC)) if c.day <= last]
    found = {}
    for storage in storages:
        held = used.get(storage.name, 0)
        by_day = add_up((change.day, change.bytes) for change in past if change.storage == storage.name)
        daily = levels(held, by_day, first=first, last=last)
        begun = next((n for n, level in enumerate(daily) if level > 0), len(daily))
        found[storage.name] = days_until(room_left(inst, storage, held), slope_per_day(daily[begun:]))
    return found


def room_left(inst: Installation, storage: StorageSettings, held: int) -> int | None:
    """Return what still fits, by the tighter of limit and disk; None where nothing bounds it or nobody knows."""
    room = None if storage.limit_bytes is None else max(0, storage.limit_bytes - held)
    if not storage.is_local:
        return room
    try:
        free = inst.storage(storage.name).free_bytes()
    except StorageError:
        return room
    return min((each for each in (room, free) if each is not None), default=None)
