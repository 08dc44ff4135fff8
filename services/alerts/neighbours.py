"""A copy turned out to be damaged: what lies beside it is looked at, too, without anybody asking.

That is the backup before it and the one after it in that storage, and the other copies of the backup itself: whether
the storage damages more, from when on, and whether what was lost is whole somewhere else.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.catalog.duties import claim_duty, claimed_since
from services.catalog.schema import backups, copies
from services.commands.restores import submit_verification
from services.commands.submit import earlier_run
from services.errors import BackupsError
from services.health.queries import Finding, first_findings
from services.installation import Installation
from services.storage.classes import is_frozen

logger = logging.getLogger(__name__)

ACTOR = "alerts"
_FRESH = timedelta(days=1)
"""What was found longer ago starts nothing: somebody has seen it, or this version has just been installed."""


AT_ONCE = 3
"""So many of these verifications of one database wait or run; with more, its next findings wait, not its backups."""
_DUTY = "beside:"
"""Begins the name of a duty: what lies beside a finding was asked for."""


def verify_neighbours(installation: Installation, now: datetime) -> dict[str, str]:
    """Ask for the verification of what lies beside each damaged copy that was found since yesterday.

    Return by database a sentence for the alert on what was asked for now. What these verifications find starts no
    further ones, and no copy is asked for twice on one UTC day, however many damaged ones lie beside it. One query
    where nothing was found, two where all is asked for.
    """
    known = [database.name for database in installation.settings.databases if not database.paused]
    engine = installation.catalog.engine
    found = first_findings(engine, known, since=now - _FRESH, not_by=ACTOR)
    if not found:
        return {}
    done = claimed_since(engine, _DUTY, now - _FRESH, now)
    left = [finding for finding in found if _duty_of(finding) not in done]
    at_work = _at_work(installation) if left else Counter()
    said: dict[str, str] = {}
    for finding in left:
        if at_work[finding.database] >= AT_ONCE:
            continue
        asked: list[str] = []
        for backup_id, name, storage, storage_class in _beside(installation, finding):
            is_new = _ask(installation, finding, backup_id, storage, storage_class, now)
            at_work[finding.database] += is_new
            asked += [name] if is_new else []
        claim_duty(engine, _duty_of(finding), by=ACTOR, every=_FRESH, now=now)
        if asked:
            names = ", ".join(dict.fromkeys(asked))
            sentence = f"What lies beside {finding.backup_name} is being verified, too: {names}."
            said[finding.database] = f"{said[finding.database]} {sentence}" if finding.database in said else sentence
    return said


def _at_work(installation: Installation) -> Counter[str]:
    """Return by database how many verifications that were asked for here are not done yet."""
    active = installation.catalog.runs.active()
    return Counter(run.database or "" for run in active if run.kind == "verification" and run.actor == ACTOR)


def _duty_of(finding: Finding) -> str:
    """Return the name of a finding's duty: a digest, since an id may be as long as the name of a duty."""
    return _DUTY + hashlib.sha256(finding.verification_id.encode()).hexdigest()[:32]


def _beside(installation: Installation, finding: Finding) -> list[tuple[str, str, str, str]]:
    """Return (backup id, backup, storage, storage class) of the copies that lie beside one that was found bad."""
    b, c = backups.c, copies.c
    stored = sa.select(b.id, b.name, c.storage, c.storage_class).join_from(backups, copies, c.backup_id == b.id)
    stored = stored.where(b.state == "finished", b.sample.is_(False), c.state == "stored")
    stored = stored.where(c.storage.in_([storage.name for storage in installation.settings.storages]))
    others = stored.where(b.id == finding.backup_id, c.storage != finding.storage)
    at = sa.select(b.finished_at).where(b.id == finding.backup_id).scalar_subquery()
    in_line = stored.where(b.database == finding.database, c.storage == finding.storage, b.id != finding.backup_id)
    before = in_line.where(b.finished_at <= at).order_by(b.finished_at.desc(), b.id.desc()).limit(1)
    after = in_line.where(b.finished_at > at).order_by(b.finished_at, b.id).limit(1)
    with installation.catalog.engine.connect() as connection:
        rows = [row for query in (others, before, after) for row in connection.execute(query)]
    return [(row.id, row.name, row.storage, row.storage_class) for row in rows]


def _ask(
    installation: Installation, finding: Finding, backup_id: str, storage: str, storage_class: str, now: datetime
) -> bool:
    """Ask for one verification; return whether it was not asked for before."""
    key = f"beside:{backup_id}:{storage}:{now:%Y%m%d}"
    if earlier_run(installation, key) is not None:
        return False
    try:
        submit_verification(
            installation,
            backup_id,
            "stored" if is_frozen(storage_class) else "checksum",
            storage=storage,
            actor=ACTOR,
            reason=f"{finding.backup_name} is damaged in {finding.storage}.",
            idempotency_key=key,
        )
    except BackupsError as error:
        logger.warning("%s in %s could not be verified: %s", backup_id, storage, error)
        return False
    return True
