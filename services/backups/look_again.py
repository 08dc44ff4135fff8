"""Copies that were looked for and not found are looked for again, without anybody asking.

A disk that was away is mounted again, a bucket is put right, somebody puts a file back. One list of a database's folder
says which copies are there; each is then verified, read to its end where that can be, and that says that it is back.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.backups.mounted import mounted_storage
from services.backups.naming import manifest_key
from services.catalog.duties import claim_duty, drop_duty
from services.catalog.schema import backups, copies
from services.commands.restores import submit_verification
from services.errors import BackupsError
from services.installation import Installation
from services.storage.classes import is_frozen

logger = logging.getLogger(__name__)

ACTOR = "worker"
AGAIN_AFTER = timedelta(minutes=10)
"""How long after a copy was not found it is looked for again."""
LONGEST_PAUSE = timedelta(hours=1)
"""Between two looks at a place where copies are missing: reached six hours after the last one was missed."""
FEW = 5
"""So many copies are looked for one by one; for more, their database's folder is listed."""
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

    Called by each worker again and again; one of them looks at a place, a storage's folder of a database, and then
    nobody for a pause that grows with the time for which nothing new is missing there. While more is back than is asked
    for at once, and their verifications do not fail, there is no pause. A storage that is away is passed over.
    """
    now = installation.clock()
    asked: list[str] = []
    for (storage, database), wanted in _by_place(_missing(installation)).items():
        if _room(installation, database) <= 0:
            continue
        pause, duty = _pause(wanted, now), _duty(storage, database)
        if not claim_duty(installation.catalog.engine, duty, by=ACTOR, every=pause, now=now):
            continue
        try:
            found = _found(installation, storage, database, wanted)
        except BackupsError as error:
            logger.info("copies in %s cannot be looked for again: %s", storage, error)
            continue
        runs = installation.catalog.runs
        tried = runs.list(database=database, kind="verification", since=now - pause / 2, limit=None)
        mine = [run for run in tried if run.actor == ACTOR and run.params.get("storage") == storage]
        busy = {run.backup_id for run in [*runs.active(), *mine]}
        back = [copy for copy in found if copy.backup_id not in busy]
        room = _room(installation, database)
        asked += [_ask(installation, copy, now) for copy in back[:room]]
        if len(back) > room and not any(run.state in ("failed", "lost") for run in mine):
            drop_duty(installation.catalog.engine, duty)
    return asked


def _room(installation: Installation, database: str) -> int:
    """Return how many more verifications of a database may be asked for now."""
    active = installation.catalog.runs.active()
    mine = [run for run in active if run.database == database and run.kind == "verification" and run.actor == ACTOR]
    return AT_ONCE - len(mine)


def _pause(wanted: Iterable[_Gone], now: datetime) -> timedelta:
    """Return for how long a place is not looked at again: the longer, the longer ago its last copy was missed."""
    ages = [now - copy.checked_at for copy in wanted if copy.checked_at is not None]
    return max(AGAIN_AFTER, min(LONGEST_PAUSE, min(ages, default=LONGEST_PAUSE) / 6))


def _duty(storage: str, database: str) -> str:
    """Return the name of the duty to look at a place; both names together may be longer than a duty's."""
    return "look:" + hashlib.sha256(f"{storage}/{database}".encode()).hexdigest()[:24]


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
    """Return those that are there, as large as they were and with their manifest. Raise StorageError.

    A few are asked for one by one, since the whole folder may hold ten thousand others.
    """
    place = mounted_storage(installation, storage)
    prefixes = [f"{database}/{copy.name}." for copy in wanted] if len(wanted) <= FEW else [f"{database}/"]
    there = {entry.key: entry.bytes for prefix in prefixes for entry in place.list(prefix)}
    return [copy for copy in wanted if there.get(copy.key) == copy.bytes and manifest_key(database, copy.name) in there]


def _ask(installation: Installation, copy: _Gone, now: datetime) -> str:
    since = f", missing since {copy.checked_at:%Y-%m-%d %H:%M} UTC," if copy.checked_at else ""
    return submit_verification(
        installation,
        copy.backup_id,
        "stored" if is_frozen(copy.storage_class) else "checksum",
        storage=copy.storage,
        actor=ACTOR,
        reason=f"The copy in {copy.storage}{since} is there again.",
        # Of this look: one that failed, since the storage went away once more, is asked for again at the next.
        idempotency_key=f"look-again:{copy.backup_id}:{copy.storage}:{now:%Y%m%d%H%M%S}",
    )
