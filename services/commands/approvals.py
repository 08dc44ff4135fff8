"""Approving and rejecting what another person asked for."""

from __future__ import annotations

from services.access.identity import PAGE_WITHOUT_SIGN_IN
from services.access.standing import standing_of
from services.approvals.gate import check_unchanged
from services.approvals.rules import NEEDS
from services.catalog.approvals import Approval
from services.commands.gate import Wish, admit, permitted
from services.commands.submit import check_note, submit_run
from services.errors import InputError
from services.installation import Installation


@permitted("approval.decide")
def approve_request(
    installation: Installation, approval_id: str, *, actor: str, note: str = "", queue: bool = True
) -> str:
    """Approve what another person asked for: it starts as it was asked for. Return the run's id.

    Raise UnknownName; InputError for one's own wish, one that waits no more, has expired, or is about something that
    has changed since, or that whoever asked may not ask for any more; NotPermitted.
    """
    check_note(note)
    approval = _waiting(installation, approval_id)
    admit(installation, Wish(NEEDS[approval.kind], actor, "approve_request"))
    if actor == PAGE_WITHOUT_SIGN_IN:
        raise InputError(
            "Nobody has signed in, so nobody can tell whether you are a second person.",
            hint="Sign in, or approve it on the command line as another user.",
        )
    if actor == approval.asked_by:
        raise InputError(
            f"{actor} asked for it, so somebody else must approve it.", hint="`backups approvals reject` withdraws it."
        )
    if not standing_of(installation, approval.asked_by).may(NEEDS[approval.kind]):
        raise InputError(
            f"{approval.asked_by} asked for it, and may not do that any more.",
            hint="Reject it; whoever still wants it asks anew: `backups approvals reject`.",
        )
    if not check_unchanged(installation, approval):
        now = installation.clock()
        note = "What it was about has changed since it was asked for."
        installation.catalog.approvals.decide(approval.id, "changed", by=actor, at=now, note=note)
        raise InputError(note, hint="It has to be asked for anew.")
    return submit_run(
        installation,
        approval.kind,
        database=approval.database,
        backup_id=approval.backup_id,
        params=approval.params,
        actor=approval.asked_by,
        reason=approval.reason,
        idempotency_key=None,
        queue=queue,
        approval=approval,
        approved_by=(actor, note),
    )


@permitted("approval.decide")
def reject_request(installation: Installation, approval_id: str, *, actor: str, note: str = "") -> Approval:
    """Reject what was asked for, or withdraw one's own wish. Raise UnknownName, InputError when it waits no more."""
    check_note(note)
    approval = _waiting(installation, approval_id)
    store = installation.catalog.approvals
    if not store.decide(approval.id, "rejected", by=actor, at=installation.clock(), note=note):
        _waiting(installation, approval.id)
    return store.get(approval.id)


def _waiting(installation: Installation, approval_id: str) -> Approval:
    approval = installation.catalog.approvals.get(approval_id)
    state = approval.state_at(installation.clock())
    if state != "waiting":
        by = f" by {approval.decided_by}" if approval.decided_by else ""
        raise InputError(f"Request {approval.id} is {state}{by}.", hint="It has to be asked for anew.")
    return approval
