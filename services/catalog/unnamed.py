"""Copies in storages that the settings do not name (any more): nobody can read them, so nothing is known of them.

The rule stands here alone. A *stored* copy in such a storage becomes *unknown* when an installation is opened, and
stored again once its storage is named again; whatever counts stored copies (good, proven, kept, room) needs to know
nothing of it. The worker looks again now and then, so that its settings are those that count.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from services.catalog.schema import backups, copies, unknown

FORGOTTEN = "Forgotten: its storage is not in the settings any more."


def settle_unnamed(engine: sa.Engine, named: Collection[str]) -> int:
    """Bring the copies in line with the storages that the settings name; return how many changed.

    One short query for each storage that has copies, and one more, however many copies there are.
    """
    back = sa.and_(unknown(copies), copies.c.storage.in_(list(named)))
    with engine.connect() as connection:
        away = [name for name in _storages(connection) if name not in named and _holds(connection, name)]
        is_back = connection.scalar(sa.select(copies.c.storage).where(back).limit(1)) is not None
    if not away and not is_back:
        return 0
    changed = 0
    with engine.begin() as connection:
        lost = sa.and_(copies.c.state == "stored", copies.c.storage.in_(away))
        for which, state in ((back, "stored"), (lost, "unknown")):
            changed += connection.execute(copies.update().where(which).values(state=state)).rowcount
    return changed


def forget(engine: sa.Engine, storage: str, *, now: datetime) -> tuple[int, int]:
    """Give up the copies in a storage, and the backups that lie nowhere else; return how many of either.

    Nothing is deleted: what the storage holds is found again when it is named again and the catalogue is rebuilt.
    """
    there = sa.and_(copies.c.storage == storage, copies.c.state != "deleted")
    with engine.begin() as connection:
        its = sa.select(copies.c.backup_id).where(there)
        elsewhere = copies.alias("elsewhere")
        is_left = sa.exists().where(
            elsewhere.c.backup_id == backups.c.id, elsewhere.c.storage != storage, elsewhere.c.state != "deleted"
        )
        gone = connection.execute(
            backups.update()
            .where(backups.c.id.in_(its), backups.c.state != "expired", ~is_left)
            .values(state="expired", expired_at=now)
        ).rowcount
        given_up = connection.execute(
            copies.update()
            .where(there)
            .values(state="deleted", error=FORGOTTEN, deletion_error="", deletion_failed_at=None, next_attempt_at=None)
        ).rowcount
    return given_up, gone


def _storages(connection: sa.Connection) -> list[str]:
    """Return the storages that have copies: a seek in the index for each."""
    found: list[str] = []
    name = connection.scalar(sa.select(sa.func.min(copies.c.storage)))
    while name is not None:
        found.append(name)
        name = connection.scalar(sa.select(sa.func.min(copies.c.storage)).where(copies.c.storage > name))
    return found


def _holds(connection: sa.Connection, storage: str) -> bool:
    stored = sa.select(copies.c.storage).where(copies.c.storage == storage, copies.c.state == "stored")
    return connection.scalar(stored.limit(1)) is not None
