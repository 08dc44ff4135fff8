"""Periodic work that is to be done once, whatever number of processes could do it."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.catalog.schema import duties, workers

WORKER_LEFT = "worker left"
"""Claimed by each worker that ends in order, so that others know since when none runs."""
_AHEAD = timedelta(minutes=5)
"""A claim dated further ahead of our clock was made by a clock that was wrong; it must not keep everybody off."""


def claim_duty(engine: sa.Engine, name: str, *, by: str, every: timedelta, now: datetime) -> bool:
    """Take a duty, unless somebody took it within ``every``; of several who try at once, one gets it."""
    free = sa.or_(duties.c.claimed_at <= now - every, duties.c.claimed_at > now + _AHEAD)
    values = {"claimed_at": now, "claimed_by": by}
    with engine.begin() as connection:
        changed = connection.execute(duties.update().where(duties.c.name == name, free).values(values))
        if changed.rowcount == 1:
            return True
        if connection.scalar(sa.select(duties.c.name).where(duties.c.name == name)) is not None:
            return False
    try:
        with engine.begin() as connection:
            connection.execute(duties.insert().values(name=name, **values))
    except IntegrityError:
        return False  # somebody else was the first ever
    return True


def hold_duty(engine: sa.Engine, name: str, *, by: str, lease: timedelta, now: datetime) -> bool:
    """Take a duty, or keep it: it is another worker's while they took or kept it within ``lease``.

    ``by`` is a worker's id. What a worker held that is known to be gone is free at once.
    """
    ours_or_free = sa.or_(
        duties.c.claimed_by == by,
        duties.c.claimed_by.not_in(sa.select(workers.c.id)),
        duties.c.claimed_at <= now - lease,
        duties.c.claimed_at > now + _AHEAD,
    )
    values = {"claimed_at": now, "claimed_by": by}
    with engine.begin() as connection:
        changed = connection.execute(duties.update().where(duties.c.name == name, ours_or_free).values(values))
    return changed.rowcount == 1 or claim_duty(engine, name, by=by, every=lease, now=now)


def release_duty(engine: sa.Engine, name: str, *, by: str) -> None:
    """Give back a duty that is held, for whoever comes next."""
    with engine.begin() as connection:
        connection.execute(duties.delete().where(duties.c.name == name, duties.c.claimed_by == by))


def drop_duty(engine: sa.Engine, name: str) -> None:
    """Give a duty back: the next who wants it need not wait until our claim is old."""
    with engine.begin() as connection:
        connection.execute(duties.delete().where(duties.c.name == name))


def begin_duty(connection: sa.Connection, name: str, now: datetime) -> bool:
    """Hold a claimed duty until the connection's transaction ends; False when it was done with a later view already.

    Others wait here for each other, on SQLite as on PostgreSQL, so that what follows happens one at a time.
    """
    newer = sa.and_(duties.c.done_at > now, duties.c.done_at <= now + _AHEAD)
    held = connection.execute(
        duties.update()
        .where(duties.c.name == name, sa.or_(duties.c.done_at.is_(None), sa.not_(newer)))
        .values(done_at=now)
    )
    return held.rowcount == 1


def last_done(engine: sa.Engine, name: str) -> datetime | None:
    """Return when a duty was done last."""
    with engine.connect() as connection:
        return connection.scalar(sa.select(duties.c.done_at).where(duties.c.name == name))


def claimed_since(engine: sa.Engine, prefix: str, since: datetime, now: datetime) -> set[str]:
    """Return the names of the duties that begin so and were claimed since then; forget the others that begin so.

    One dated far ahead of our clock was claimed by a clock that was wrong, and is forgotten, too.
    """
    begins = duties.c.name.startswith(prefix, autoescape=True)
    fresh = sa.and_(duties.c.claimed_at >= since, duties.c.claimed_at <= now + _AHEAD)
    with engine.begin() as connection:
        connection.execute(duties.delete().where(begins, sa.not_(fresh)))
        return set(connection.scalars(sa.select(duties.c.name).where(begins)))
