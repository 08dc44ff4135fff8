"""Once a day: the log is verified from end to end, and its newest row anchored in each storage."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from services.audit.anchors import Anchor, write_anchor
from services.audit.findings import Verdict
from services.audit.model import Entry, Outcome
from services.audit.record import newest, record
from services.audit.stored import moment, read_moment, read_text, text
from services.audit.verify import verify
from services.audit.walk import ANCHOR
from services.catalog.duties import claim_duty
from services.catalog.schema import audit_log
from services.errors import BackupsError
from services.installation import Installation

logger = logging.getLogger(__name__)

VERIFY = "audit.verify"
ANCHOR_EVERY = timedelta(hours=20)
"""Anchored again when the last anchor is this old: a day, whenever in the day a worker is there."""
ANCHOR_OVERDUE = timedelta(days=2)
"""From this age on an anchor counts as too old."""
_NEVER = datetime.min.replace(tzinfo=UTC)
_DUTY = "audit anchors"
_AGAIN = timedelta(minutes=30)
"""How soon a storage that was away is tried again."""


@dataclass(frozen=True)
class Anchoring:
    """What became of one storage's anchor."""

    storage: str
    anchor: Anchor | None
    error: str = ""


def anchor_when_due(installation: Installation, *, by: str) -> list[Anchoring]:
    """Verify the log, and anchor it where the last anchor is a day old. The worker's periodic task; cheap when not due.

    A log that is broken is not anchored: an anchor would vouch for it.
    """
    now = installation.clock()
    last = last_anchors(installation)
    due = [s.name for s in installation.settings.storages if now - last.get(s.name, _NEVER) >= ANCHOR_EVERY]
    if not due or not claim_duty(installation.catalog.engine, _DUTY, by=by, every=_AGAIN, now=now):
        return []
    return anchor(installation, due, actor="worker")


def anchor(installation: Installation, storages: list[str], *, actor: str) -> list[Anchoring]:
    """Verify the log and anchor its newest row in these storages; what happens is recorded. Raise NotRecorded."""
    found = verify(installation)
    record_verdict(installation, found, actor=actor)
    if found.severity == "failure":
        logger.error("the audit log is not anchored, since it is broken: %s", found.sentence)
        return [Anchoring(name, None, f"The log is broken: {found.sentence}") for name in storages]
    done = []
    for name in storages:
        # Read anew: the anchor covers what was recorded a moment ago.
        number, digest, chain = _newest(installation)
        try:
            made = write_anchor(installation, name, chain=chain, number=number, digest=digest)
        except BackupsError as error:
            logger.warning("the audit log could not be anchored in %s: %s", name, error)
            done.append(Anchoring(name, None, str(error)))
            continue
        detail = {"key": made.key, "number": number, "hash": digest}
        record(installation, Entry(actor, ANCHOR, "storage", name, detail=detail))
        done.append(Anchoring(name, made))
    return done


def record_verdict(installation: Installation, verdict: Verdict, *, actor: str) -> None:
    """Record what a verification of the whole log has found: the health check reads it. Raise NotRecorded."""
    detail = {
        "rows": verdict.rows,
        "severity": verdict.severity,
        "findings": [finding.sentence for finding in verdict.findings if not finding.accepted][:20],
    }
    outcome: Outcome = "failed" if verdict.severity == "failure" else "done"
    record(installation, Entry(actor, VERIFY, outcome=outcome, detail=detail))


def last_anchors(installation: Installation) -> dict[str, datetime]:
    """Return when each storage got its last anchor, as the log says. One query.

    Of one whose instant cannot be read nothing is said: it is due.
    """
    c = audit_log.c
    query = (
        sa.select(text(c.target), moment(sa.func.max(c.at)))
        .where(c.action == ANCHOR, c.outcome == "done")
        .group_by(c.target)
    )
    with installation.catalog.engine.connect() as connection:
        found = {read_text(target): read_moment(at) for target, at in connection.execute(query)}
    return {target: at for target, at in found.items() if at is not None}


def _newest(installation: Installation) -> tuple[int, str, str]:
    """Return the newest row's number and hash, and the hash of row 1."""
    with installation.catalog.engine.connect() as connection:
        number, digest = newest(connection)
        chain = connection.scalar(sa.select(audit_log.c.hash).where(audit_log.c.number == 1))
    assert chain is not None, "a log without its first row is broken"
    return number, digest, chain
