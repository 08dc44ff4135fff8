"""Copies that were looked for and not found are looked for again, without anybody asking.

A disk that was away is mounted again, a bucket is put right, somebody puts a file back. One list of a database's folder
says which copies are there; each is then verified, read to its end where that can be, and that says that it is back.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.backups.mounted import mounted_storage
from services.backups.naming import manifest_key
from services.catalog.schema import backups, copies
from services.commands.restores import submit_verification
from services.errors import BackupsError
from services.installation import Installation
from services.storage.classes import is_frozen

logger = logging.getLogger(__name__)

ACTOR = "worker"
AGAIN_AFTER = timedelta(minutes=10)
"""How long after a copy was not found it is looked for again."""
AT_ONCE = 3
"""Verifications of one database that are asked for at once, so that its backups do not wait behind hundreds."""


@dataclass(frozen=True)
class _Gone:
    backup_id: str
    name: str
    database: str
    storage: str
    key: str
    storage_class: str
    bytes: int
    checked_at: datetime | None


def look_again(installation: Installation) -> list[str]:
    """Look for copies that were missing, and ask for the verification of what is there again; return the runs' ids.

    Called by each worker again and again. The idempotency key names the look that missed the copy, so two workers ask
    once. A storage that is away is passed over.
    """
    gone = _missing(installation)
    if not gone:
        return []
    active = [run for run in installation.catalog.runs.active() if run.backup_id is not None]
    at_work = {run.backup_id for run in active}
    asked: list[str] = []
    for (storage, database), wanted in _by_place(gone).items():
        mine = [run for run in active if run.database == database and run.kind == "verification" and run.actor == ACTOR]
        room = AT_ONCE - len(mine)
        if room <= 0:
            continue
        try:
            found = _found(installation, storage, database, wanted)
        except BackupsError as error:
            logger.info("copies in %s cannot be looked for again: %s", storage, error)
            continue
        asked += [_ask(installation, copy) for copy in found if copy.backup_id not in at_work][:room]
    return asked


def _missing(installation: Installation) -> list[_Gone]:
    """Return the copies that are missing and due to be looked for again, the newest backups first. One query."""
    known = [storage.name for storage in installation.settings.storages]
    before = installation.clock() - AGAIN_AFTER
    query = (
        sa.select(
            copies.c.backup_id, backups.c.name, backups.c.database, copies.c.storage, copies.c.key,
            copies.c.storage_class, copies.c.bytes, copies.c.checked_at,
        )
        .join_from(copies, backups, backups.c.id == copies.c.backup_id)
        .where(copies.c.storage.in_(known), copies.c.state == "missing")
        .where(backups.c.state == "finished", backups.c.sample.is_(False))
        .where(sa.or_(copies.c.checked_at.is_(None), copies.c.checked_at <= before))
    )  # fmt: skip
    with installation.catalog.engine.connect() as connection:
        return [_Gone(*row) for row in connection.execute(query.order_by(backups.c.finished_at.desc(), backups.c.id))]


def _by_place(gone: Iterable[_Gone]) -> dict[tuple[str, str], list[_Gone]]:
    places: dict[tuple[str, str], list[_Gone]] = defaultdict(list)
    for copy in gone:
        places[copy.storage, copy.database].append(copy)
    return places


def _found(installation: Installation, storage: str, database: str, wanted: list[_Gone]) -> list[_Gone]:
    """Return those that are there, as large as they were and with their manifest. Raise StorageError."""
    there = {entry.key: entry.bytes for entry in mounted_storage(installation, storage).list(f"{database}/")}
    return [copy for copy in wanted if there.get(copy.key) == copy.bytes and manifest_key(database, copy.name) in there]


def _ask(installation: Installation, copy: _Gone) -> str:
    since = f", missing since {copy.checked_at:%Y-%m-%d %H:%M} UTC," if copy.checked_at else ""
    return submit_verification(
        installation,
        copy.backup_id,
        "stored" if is_frozen(copy.storage_class) else "checksum",
        storage=copy.storage,
        actor=ACTOR,
        reason=f"The copy in {copy.storage}{since} is there again.",
        idempotency_key=f"look-again:{copy.backup_id}:{copy.storage}:{copy.checked_at}:{installation.clock():%Y%m%d}",
    )
