"""Approving and rejecting what another person asked for."""

from __future__ import annotations

from typing import NoReturn

from services.access.identity import PAGE_WITHOUT_SIGN_IN
from services.access.standing import standing_of
from services.approvals.gate import check_unchanged
from services.approvals.rules import NEEDS, may_take_part, why_not_second
from services.audit.pending import settle
from services.catalog.approvals import Approval
from services.commands.gate import Wish, admit, permitted
from services.commands.submit import check_note, submit_run
from services.errors import ApprovalNeeded, InputError
from services.installation import Installation


@permitted("approval.decide")
def approve_request(
    installation: Installation, approval_id: str, *, actor: str, note: str = "", queue: bool = True
) -> str:
    """Approve what another person asked for: it starts as it was asked for. Return the run's id.

    Where people sign in, what was asked for on the command line is approved by two: the first takes it over, as if they
    had asked, and ApprovalNeeded is raised; the second approves it.

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
    if not standing_of(installation, approval.asked_by).may(NEEDS[approval.kind]):
        raise InputError(
            f"{approval.asked_by} asked for it, and may not do that any more.",
            hint="Reject it; whoever still wants it asks anew: `backups approvals reject`.",
        )
    if may_take_part(installation.settings, actor) and not may_take_part(installation.settings, approval.asked_by):
        _take_over(installation, approval, actor)
    if why := why_not_second(installation.settings, approval.asked_by, actor):
        raise InputError(why, hint="`backups approvals reject`, or the page, withdraws it.")
    if not check_unchanged(installation, approval):
        now = installation.clock()
        note = "What it was about has changed since it was asked for."
        with installation.catalog.engine.begin() as connection:
            store = installation.catalog.approvals
            if store.decide(approval.id, "changed", by=actor, at=now, note=note, connection=connection):
                settle(connection, outcome="refused", error=note)
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
    now = installation.clock()
    with installation.catalog.engine.begin() as connection:
        is_first = store.decide(approval.id, "rejected", by=actor, at=now, note=note, connection=connection)
        if is_first:
            settle(connection)
    if not is_first:
        _waiting(installation, approval.id)
    return store.get(approval.id)


def _take_over(installation: Installation, approval: Approval, actor: str) -> NoReturn:
    reason = f"{approval.reason} (asked for on the command line by {approval.asked_by})".strip()
    needed = ApprovalNeeded(
        f"{approval.asked_by} asked for it on the command line; it is yours now, and waits for a second person "
        f"(request {approval.id}): {approval.summary}.",
        hint="Somebody else who signs in may approve it.",
    )
    with installation.catalog.engine.begin() as connection:
        taken = installation.catalog.approvals.take_over(approval, by=actor, reason=reason, connection=connection)
        if taken:
            settle(connection, taken_over_from=approval.asked_by)
    if not taken:
        raise InputError(
            f"Request {approval.id} is somebody else's by now.", hint="See `backups approvals list --all`."
        )
    raise needed


def _waiting(installation: Installation, approval_id: str) -> Approval:
    approval = installation.catalog.approvals.get(approval_id)
    state = approval.state_at(installation.clock())
    if state != "waiting":
        by = f" by {approval.decided_by}" if approval.decided_by else ""
        raise InputError(f"Request {approval.id} is {state}{by}.", hint="It has to be asked for anew.")
    return approval
