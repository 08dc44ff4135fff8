"""What waits for a second person, in the catalogue: who asked for what, and who decided how."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from services.catalog.model import RunKind
from services.catalog.schema import approvals
from services.names import unknown_name

Rule = Literal["delete", "restore"]
ApprovalState = Literal["waiting", "approved", "rejected", "expired", "changed"]
"""``changed``: what it was asked for is not what it was any more; it must be asked for anew."""


@dataclass(frozen=True)
class Approval:
    """One wish that needs two persons."""

    id: str
    rule: Rule
    kind: RunKind
    database: str | None
    backup_id: str | None
    params: dict[str, Any]
    """Of the run that starts once it is approved."""
    summary: str
    """What it is, for people."""
    digest: str
    """sha256 of what was asked for, and of the backups that it is about as they were then."""
    asked_by: str
    reason: str
    asked_at: datetime
    expires_at: datetime
    state: ApprovalState = "waiting"
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""
    run_id: str | None = None
    idempotency_key: str | None = None

    def state_at(self, now: datetime) -> ApprovalState:
        """Return how it stands: one that nobody decided in time has expired, whatever its row says."""
        return "expired" if self.state == "waiting" and now >= self.expires_at else self.state


class ApprovalStore:
    """The wishes. Every method is one transaction, or part of the caller's."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, approval_id: str) -> Approval:
        """Return a wish; the beginning of its id is enough where it is the only one. Raise UnknownName."""
        found = self._fetch(
            sa.select(approvals).where(approvals.c.id.startswith(approval_id, autoescape=True)).limit(2)
        )
        if len(found) != 1 or not approval_id:
            recent = [one.id for one in self.list(limit=50)]
            raise unknown_name("request", approval_id, recent)
        return found[0]

    def of_run(self, run_id: str) -> Approval | None:
        """Return the wish that a run was started by."""
        return next(iter(self._fetch(sa.select(approvals).where(approvals.c.run_id == run_id))), None)

    def by_key(self, idempotency_key: str) -> Approval | None:
        """Return the wish that was asked for with this key."""
        return next(iter(self._fetch(sa.select(approvals).where(approvals.c.idempotency_key == idempotency_key))), None)

    def waiting(self, now: datetime, *, rule: Rule | None = None) -> builtins.list[Approval]:
        """Return what can still be approved, the oldest first."""
        query = sa.select(approvals).where(approvals.c.state == "waiting", approvals.c.expires_at > now)
        if rule is not None:
            query = query.where(approvals.c.rule == rule)
        return self._fetch(query.order_by(approvals.c.asked_at).limit(200))

    def list(self, *, limit: int = 100) -> builtins.list[Approval]:
        """Return all, the newest first."""
        return self._fetch(sa.select(approvals).order_by(approvals.c.asked_at.desc(), approvals.c.id).limit(limit))

    def add(self, approval: Approval, connection: sa.Connection) -> None:
        """Add a wish. Raise IntegrityError when its key is there already."""
        connection.execute(approvals.insert().values(vars(approval)))

    def take_over(self, approval: Approval, *, by: str, reason: str, connection: sa.Connection) -> bool:
        """Have a waiting wish be another person's; False when it waits no more, or somebody else was first."""
        still = sa.and_(approvals.c.state == "waiting", approvals.c.asked_by == approval.asked_by)
        where = sa.and_(approvals.c.id == approval.id, still)
        changed = connection.execute(approvals.update().where(where).values(asked_by=by, reason=reason))
        return changed.rowcount == 1

    def decide(
        self,
        approval_id: str,
        state: ApprovalState,
        *,
        by: str,
        at: datetime,
        note: str = "",
        run_id: str | None = None,
        connection: sa.Connection | None = None,
    ) -> bool:
        """Record what became of a waiting wish; False when it waits no more: somebody else was first."""
        if connection is None:
            with self._engine.begin() as own:
                return self.decide(approval_id, state, by=by, at=at, note=note, run_id=run_id, connection=own)
        changed = connection.execute(
            approvals.update()
            .where(approvals.c.id == approval_id, approvals.c.state == "waiting")
            .values(state=state, decided_by=by, decided_at=at, note=note, run_id=run_id)
        )
        return changed.rowcount == 1

    def _fetch(self, query: sa.Select[Any]) -> builtins.list[Approval]:
        with self._engine.connect() as connection:
            return [Approval(**row._mapping) for row in connection.execute(query)]
