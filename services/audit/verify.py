"""Is the audit log what was written? Each row against its hash and seal, each link, and all of it against the anchors.

What each check finds: a changed or moved row no longer has its hash (which covers its number); a removed one leaves a
gap, or an anchor and this machine's own memory (``services.audit.head``) beyond the end; an added one has no seal,
since the key lies outside of the catalogue; a log that was written anew agrees with no anchor.
"""

from __future__ import annotations

import sqlalchemy as sa

from services.audit.anchors import Anchor, read_anchors
from services.audit.findings import Finding, Findings, Sealer, Verdict, accepted_keys
from services.audit.head import known_head, remember_head
from services.audit.model import AuditRow
from services.audit.stored import stored_rows, to_row
from services.audit.walk import Walk
from services.audit.witnesses import Witnesses
from services.catalog.schema import audit_log
from services.errors import BackupsError
from services.installation import Installation

QUICK_ROWS = 200
"""So many of the newest rows are looked at where it must be quick."""
_BLOCK = 2000


def verify(installation: Installation, *, storages: bool = True, every: bool = False) -> Verdict:
    """Verify the whole log. Raise what an unreachable catalogue raises.

    ``storages``: compare with the anchors, too. ``every``: list all that is found, however much it is.
    """
    anchors: list[Anchor] = []
    read: list[str] = []
    sealer = Sealer(installation)
    with installation.catalog.engine.connect() as connection:
        findings = Findings(accepted_keys(connection, sealer), every=every)
        before = connection.scalar(sa.select(sa.func.max(audit_log.c.number)))
    for settings in installation.settings.storages if storages else ():
        try:
            anchors += read_anchors(installation, settings.name)
            read.append(settings.name)
        except BackupsError as error:
            words = f"The anchors in {settings.name} could not be read: {error}"
            findings.add(Finding("no anchor", "unknown", 0, words, f"away:{settings.name}"))
    witnesses = Witnesses(anchors, known_head(installation.settings.home), findings)
    walk = Walk(sealer, findings, witnesses)
    query = stored_rows().order_by(audit_log.c.number)
    with (
        installation.catalog.engine.connect() as connection,
        connection.execution_options(yield_per=_BLOCK).execute(query) as found,
    ):
        for row in found:
            walk.look(to_row(row))
    walk.end()
    until = before if isinstance(before, int) else 0
    # Of an anchor that was set meanwhile nothing can be said.
    there = {name: [key for key, row in walk.anchored.get(name, {}).items() if row <= until] for name in read}
    witnesses.end(walk.number, walk.chain, there, since=1)
    verdict = Verdict(walk.rows, walk.number, walk.hash, walk.chain, findings.listed, findings.more, tuple(anchors))
    if verdict.severity in ("ok", "unknown"):
        remember_head(installation.settings.home, walk.number, walk.hash)
    return verdict


def look_quickly(installation: Installation) -> Verdict:
    """Verify the newest rows alone, and that none was cut off: one query, whatever the log's size, if all is well."""
    sealer = Sealer(installation)
    latest = stored_rows().order_by(audit_log.c.number.desc()).limit(QUICK_ROWS)
    with installation.catalog.engine.connect() as connection:
        rows = [to_row(row) for row in connection.execute(latest)][::-1]
        verdict = _look_at(installation, sealer, rows, Findings({}))
        if verdict.findings:
            return _look_at(installation, sealer, rows, Findings(accepted_keys(connection, sealer)))
    remember_head(installation.settings.home, verdict.newest, verdict.newest_hash)
    return verdict


def _look_at(installation: Installation, sealer: Sealer, rows: list[AuditRow], findings: Findings) -> Verdict:
    # Of a short log the first row is there, and must be number 1.
    first = 1 if len(rows) < QUICK_ROWS else min((row.number for row in rows if row.number), default=1)
    witnesses = Witnesses([], known_head(installation.settings.home), findings)
    walk = Walk(sealer, findings, witnesses, begin_at=first)
    for row in rows:
        walk.look(row)
    walk.end()
    witnesses.end(walk.number, walk.chain, {}, since=first)
    return Verdict(walk.rows, walk.number, walk.hash, walk.chain, findings.listed, findings.more)
