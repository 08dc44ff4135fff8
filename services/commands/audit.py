"""What people do with the audit log: verify it, anchor it, export it, and accept what a verification has found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from services.access.roles import Role
from services.access.standing import standing_of
from services.audit.head import remember_head
from services.audit.model import Entry
from services.audit.query import AuditQuery, as_csv, as_json, find_rows
from services.audit.record import record
from services.audit.verify import ACCEPT, Verdict, verify
from services.audit.watch import Anchoring, anchor, record_verdict
from services.commands.gate import permitted
from services.commands.submit import check_note
from services.errors import InputError
from services.installation import Installation


@permitted("audit.verify")
def verify_audit(
    installation: Installation, *, every_anchor: bool = False, storages: bool = True, actor: str
) -> Verdict:
    """Verify the whole log and compare it with its anchors; what is found is recorded. Raise NotRecorded."""
    found = verify(installation, every_anchor=every_anchor, storages=storages)
    record_verdict(installation, found, actor=actor)
    return found


@permitted("audit.verify")
def anchor_audit(installation: Installation, *, actor: str) -> list[Anchoring]:
    """Verify the log and anchor its newest row in every storage now. Raise NotRecorded."""
    return anchor(installation, [storage.name for storage in installation.settings.storages], actor=actor)


@permitted("audit.read")
def visible_audit(installation: Installation, wanted: AuditQuery, *, actor: str) -> AuditQuery:
    """Return the query narrowed down to what the actor may see: an admin everything, others what they did."""
    if standing_of(installation, actor).role is Role.ADMIN:
        return wanted
    return replace(wanted, actor=actor)


@permitted("audit.export")
def export_audit(
    installation: Installation,
    wanted: AuditQuery,
    *,
    form: Literal["csv", "json"] = "csv",
    limit: int | None = None,
    actor: str,
) -> Iterator[str]:
    """Return rows, the newest first, in pieces of a file; that they were exported is recorded before the first."""
    rows = find_rows(installation, visible_audit(installation, wanted, actor=actor), limit=limit)
    return as_csv(rows) if form == "csv" else as_json(rows)


@permitted("audit.accept")
def accept_audit(installation: Installation, *, reason: str, actor: str) -> Verdict:
    """Accept what a verification finds now: from then on it counts no more, and stays listed with who and why.

    For what cannot be mended: a catalogue that was restored from its own backup, say. Raise InputError without a reason
    or a finding.
    """
    check_note(reason)
    if not reason.strip():
        raise InputError("A reason is needed.", hint="Say what happened, and who looked into it: --reason.")
    found = verify(installation, every_anchor=True)
    keys = [finding.key for finding in found.findings if not finding.accepted]
    if not keys:
        raise InputError("There is nothing to accept.", hint="`backups audit verify` finds nothing.")
    sentences = [finding.sentence for finding in found.findings if not finding.accepted]
    detail = {"findings": keys, "sentences": sentences}
    row = record(installation, Entry(actor, ACCEPT, reason=reason.strip(), detail=detail))
    remember_head(installation.settings.home, row.number, row.hash, even_if_lower=True)
    return verify(installation, every_anchor=True)
