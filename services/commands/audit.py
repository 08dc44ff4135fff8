"""What people do with the audit log: verify it, anchor it, export it, and accept what a verification has found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from services.access.roles import Role
from services.access.standing import standing_of
from services.audit.findings import ACCEPT, Verdict
from services.audit.head import remember_head
from services.audit.model import Entry
from services.audit.query import AuditQuery, as_csv, as_json, find_rows
from services.audit.record import record
from services.audit.verify import verify
from services.audit.watch import Anchoring, anchor, record_verdict
from services.commands.gate import permitted
from services.commands.submit import check_note
from services.errors import InputError
from services.installation import Installation

_KEYS_OF_A_ROW, _SENTENCES, _LONGEST = 12_000, 20, 200
"""Characters of keys, sentences and characters of one: together below what a row's detail may be."""


@permitted("audit.verify")
def verify_audit(installation: Installation, *, storages: bool = True, actor: str) -> Verdict:
    """Verify the whole log and compare it with its anchors; what is found is recorded. Raise NotRecorded."""
    found = verify(installation, storages=storages)
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

    For what cannot be mended: a catalogue that was restored from its own backup, say. All of it is accepted, in as many
    rows as it takes; not that a storage could not be read. Raise InputError without a reason or a finding.
    """
    check_note(reason)
    if not reason.strip():
        raise InputError("A reason is needed.", hint="Say what happened, and who looked into it: --reason.")
    found = verify(installation, every=True)
    wrong = [finding for finding in found.findings if not finding.accepted and finding.severity != "unknown"]
    if not wrong:
        raise InputError("There is nothing to accept.", hint="`backups audit verify` finds nothing.")
    sentences = [finding.sentence[:_LONGEST] for finding in wrong[:_SENTENCES]]
    with installation.catalog.engine.begin() as connection:
        for keys in _pieces(key for finding in wrong for key in finding.keys):
            detail = {"findings": keys, "sentences": sentences}
            row = record(installation, Entry(actor, ACCEPT, reason=reason.strip(), detail=detail), connection)
            sentences = []
    remember_head(installation.settings.home, row.number, row.hash, even_if_lower=True)
    return verify(installation)


def _pieces(keys: Iterable[str]) -> Iterator[list[str]]:
    """Yield keys, so many at a time as fit into the detail of one row."""
    piece: list[str] = []
    length = 0
    for key in keys:
        if piece and length + len(key) > _KEYS_OF_A_ROW:
            yield piece
            piece, length = [], 0
        piece.append(key)
        length += len(key) + len('"",')
    yield piece
