"""Where a wish that needs two persons is kept waiting, and where a run that has none is refused.

``ask`` stands in the one place where runs are asked for, ``require_approval`` in the one where they are carried out: a
row that came into the catalogue past the first is refused by the second.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import IntegrityError

from services.access.standing import standing_of
from services.approvals.rules import LASTS, NEEDS, digest_of, may_take_part, rule_of, summary_of, why_not_second
from services.audit.pending import settle
from services.catalog.approvals import Approval
from services.catalog.model import Run, RunKind
from services.catalog.runs import stored_key
from services.errors import ApprovalNeeded, InputError
from services.ids import new_id
from services.installation import Installation
from services.retention.plans import load_plans


def ask(
    installation: Installation,
    kind: RunKind,
    *,
    database: str | None,
    backup_id: str | None,
    params: dict[str, Any],
    actor: str,
    reason: str,
    idempotency_key: str | None,
) -> None:
    """Do nothing where one person is enough; else keep the wish for a second one and raise ApprovalNeeded."""
    rule = rule_of(installation.settings, kind, params, actor)
    if rule is None:
        return
    store, now = installation.catalog.approvals, installation.clock()
    if kind == "cleanup" and params.get("only") is None:
        params = params | {"only": _planned(installation, database)}  # what is approved is what is seen now
    parts: dict[str, Any] = {"database": database, "backup_id": backup_id, "params": params}
    digest = digest_of(installation, kind, **parts)
    # Under one key a page may ask for another selection, and another person may: those are wishes of their own.
    key = stored_key(f"{idempotency_key}:{digest}:{actor}") if idempotency_key else None
    same = next((one for one in store.waiting(now) if (one.digest, one.asked_by) == (digest, actor)), None)
    known = same or (store.by_key(key) if key else None)
    if known is not None and known.state_at(now) != "waiting":  # decided since: this is a new wish
        known, key = None, None
    if known is None:
        known = Approval(
            id=new_id(now),
            rule=rule,
            kind=kind,
            summary=summary_of(installation, kind, **parts),
            digest=digest,
            asked_by=actor,
            reason=reason,
            asked_at=now,
            expires_at=now + LASTS,
            idempotency_key=key,
            **parts,
        )
        try:
            with installation.catalog.engine.begin() as connection:
                store.add(known, connection)
                settle(
                    connection, outcome="refused", error=_needed(installation, known, actor).message, request=known.id
                )
        except IntegrityError:  # two clicks at the same moment
            known = (store.by_key(key) if key else None) or known
    raise _needed(installation, known, actor)


def _needed(installation: Installation, known: Approval, actor: str) -> ApprovalNeeded:
    by_command = installation.settings.access.mode == "none"
    where = f"`backups approvals approve {known.id}`" if by_command else "on the dashboard's page"
    if not may_take_part(installation.settings, actor):
        where += ", where one who has signed in takes it over first (the command line cannot tell who you are)"
    return ApprovalNeeded(
        f"This waits for a second person (request {known.id}): {known.summary}.",
        hint=f"Until {known.expires_at:%Y-%m-%d %H:%M} UTC somebody else may approve it: {where}.",
    )


def _planned(installation: Installation, database: str | None) -> list[str]:
    ids = [one.id for plan in load_plans(installation, [database] if database else None) for one in plan.going]
    if not ids:
        raise InputError("There is nothing to delete now.", hint="`backups cleanup` shows the plan.")
    return ids


def check_unchanged(installation: Installation, approval: Approval) -> bool:
    """Say whether a wish is still what was asked for."""
    parts: dict[str, Any] = {"database": approval.database, "backup_id": approval.backup_id, "params": approval.params}
    return digest_of(installation, approval.kind, **parts) == approval.digest


def require_approval(installation: Installation, run: Run) -> Approval | None:
    """Return the approval of a run that needs one, None for one that does not.

    Raise InputError for a run without, and for one that has not begun and whose backups have changed since it was
    approved, or of whose two persons one may not do it any more.
    """
    if rule_of(installation.settings, run.kind, run.params, run.actor) is None:
        return None
    approval = installation.catalog.approvals.of_run(run.id)
    hint = "Ask for it anew; somebody else approves it then: `backups approvals list`."
    decider = approval.decided_by if approval is not None and approval.state == "approved" else ""
    if approval is None or not decider or why_not_second(installation.settings, run.actor, decider):
        raise InputError("This needs a second person's approval, and has none.", hint=hint)
    parts: dict[str, Any] = {"database": run.database, "backup_id": run.backup_id, "params": run.params}
    if _has_begun(installation, run):
        return approval
    for who in (approval.asked_by, approval.decided_by):
        if not standing_of(installation, who).may(NEEDS[run.kind]):
            raise InputError(f"{who} may not do that any more, and so it was not begun.", hint=hint)
    if digest_of(installation, run.kind, **parts) != approval.digest:
        raise InputError("What was approved is not what would be done: a backup has changed since.", hint=hint)
    return approval


def _has_begun(installation: Installation, run: Run) -> bool:
    """Say whether a cleanup goes on after a crash with some of it done: then the backups are not what they were.

    A restore changes no backup, so it is looked at again however often it starts.
    """
    if run.attempt <= 1 or run.kind != "cleanup":
        return False
    return installation.catalog.deletions.has_begun(run.id, since=run.queued_at)
