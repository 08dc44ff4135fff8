"""How every command that starts work ends: the run's row and its place in the queue, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.approvals.gate import ask
from services.audit.pending import settle
from services.catalog.approvals import Approval
from services.catalog.model import Backup, Run, RunKind
from services.catalog.runs import stored_key
from services.commands.attended import mark
from services.errors import InputError
from services.installation import Installation

MAX_NOTE = 2000


def submit_run(
    installation: Installation,
    kind: RunKind,
    *,
    database: str | None,
    params: dict[str, Any],
    actor: str,
    reason: str,
    idempotency_key: str | None,
    queue: bool,
    backup_id: str | None = None,
    approval: Approval | None = None,
    approved_by: tuple[str, str] = ("", ""),
) -> str:
    """Write the run's row and, with ``queue``, put it into the worker's queue; return its id.

    The same idempotency key returns the same run. ``approval``: what a second person has just approved; ``approved_by``
    who, and with which note. Raise ApprovalNeeded where there has to be one, InputError when another was first.
    """
    runs = installation.catalog.runs
    if known := earlier_run(installation, idempotency_key):
        return known.id
    if approval is None:
        ask(
            installation, kind, database=database, backup_id=backup_id, params=params, actor=actor, reason=reason,
            idempotency_key=idempotency_key,
        )  # fmt: skip
    if queue:
        # Imported here: DBOS costs a third of a second, which a command in the foreground need not pay.
        from services.jobs.queue import enqueue, prepare_queue

        prepare_queue(installation.catalog)
    expected = runs.typical_seconds(kind, database, level=params.get("level"))
    try:
        with installation.catalog.engine.begin() as transaction:
            run = runs.add(
                kind=kind,
                database=database,
                backup_id=backup_id,
                actor=actor,
                reason=reason,
                params=params | {"queued": queue} | mark(),
                now=installation.clock(),
                idempotency_key=stored_key(idempotency_key),
                expected_seconds=expected,
                connection=transaction,
            )
            if approval is not None:
                _take(installation, approval, approved_by, run.id, transaction)
            if queue:
                enqueue(installation, run, transaction)
            settle(transaction, run=run.id)
    except IntegrityError:
        # Two clicks at the same moment: the other one was first.
        known = earlier_run(installation, idempotency_key)
        if known is None:
            raise
        return known.id
    return run.id


def _take(
    installation: Installation, approval: Approval, by: tuple[str, str], run_id: str, transaction: sa.Connection
) -> None:
    """Record the approval with the run that it starts, in one transaction. Raise InputError when somebody was first."""
    decide, now = installation.catalog.approvals.decide, installation.clock()
    if not decide(approval.id, "approved", by=by[0], at=now, note=by[1], run_id=run_id, connection=transaction):
        raise InputError(f"Request {approval.id} waits no more.", hint="See `backups approvals list --all`.")


class _OfBackup(Protocol):
    @property
    def backup(self) -> Backup: ...


W = TypeVar("W", bound=_OfBackup)


def by_database(wishes: Iterable[W], idempotency_key: str | None) -> list[tuple[str, list[W], str | None]]:
    """Return each database by name, its wishes, and the key of the one run that they make."""
    of: defaultdict[str, list[W]] = defaultdict(list)
    for wish in wishes:
        of[wish.backup.database].append(wish)
    return [(name, of[name], f"{idempotency_key}:{name}" if idempotency_key else None) for name in sorted(of)]


def earlier_run(installation: Installation, idempotency_key: str | None) -> Run | None:
    """Return the run that was asked for with this key before."""
    key = stored_key(idempotency_key)
    return None if key is None else installation.catalog.runs.by_idempotency_key(key)


def check_note(note: str) -> None:
    """Raise InputError for a note that is too long."""
    if len(note) > MAX_NOTE:
        raise InputError(f"The note has {len(note):,} characters.", hint=f"Use at most {MAX_NOTE:,}.")
