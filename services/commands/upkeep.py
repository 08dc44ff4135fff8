"""Asking for upkeep, and for a run to stop."""

from __future__ import annotations

from services.commands.submit import submit_run
from services.installation import Installation


def submit_janitor(
    installation: Installation,
    *,
    apply: bool,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    slot: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for leftovers to be looked for and, with ``apply``, removed. ``slot``: due time of the schedule that asks."""
    return submit_run(
        installation,
        "janitor",
        database=None,
        params={"apply": apply, "slot": slot},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def submit_health(
    installation: Installation,
    *,
    deep: bool = True,
    actor: str,
    reason: str = "",
    idempotency_key: str | None = None,
    slot: str | None = None,
    queue: bool = True,
) -> str:
    """Ask for a health check: the list of checks is recorded and, with ``deep``, each connection is tried."""
    return submit_run(
        installation,
        "health",
        database=None,
        params={"deep": deep, "slot": slot},
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )


def request_cancel(installation: Installation, run_id: str, *, actor: str) -> None:
    """Ask a run to stop. Raise UnknownName, InputError when it has ended."""
    installation.catalog.runs.request_cancel(run_id, actor=actor, now=installation.clock())
