"""Asking for upkeep, and for a run to stop."""

from __future__ import annotations

from typing import Any

from services.catalog.model import RunKind
from services.catalog.summaries import storage_use
from services.catalog.unnamed import forget
from services.commands.gate import permitted
from services.commands.submit import check_note, submit_run
from services.errors import InputError
from services.installation import Installation
from services.names import unknown_name


@permitted("janitor.look", instead=lambda given: "janitor.apply" if given["apply"] else None)
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
    return _submit_upkeep(
        installation, "janitor", {"apply": apply, "slot": slot}, actor, reason, idempotency_key, queue
    )


@permitted("health.run")
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
    params = {"deep": deep, "slot": slot}
    return _submit_upkeep(installation, "health", params, actor, reason, idempotency_key, queue)


@permitted("catalog.rebuild")
def forget_storage(
    installation: Installation,
    storage: str,
    *,
    actor: str,  # noqa: ARG001 - for the gate and the audit log, as is the reason
    reason: str = "",
) -> tuple[int, int]:
    """Give up what lies in a storage that the settings do not name; return how many copies, and how many backups.

    Those backups lie nowhere else, and have expired from now on. No file is deleted. Raise InputError for a storage
    that the settings name, UnknownName for one in which nothing lies.
    """
    check_note(reason)
    if storage in [each.name for each in installation.settings.storages]:
        raise InputError(
            f"The settings name storage {storage}, so what lies in it is not forgotten.",
            hint="Take it out of the settings first; or delete its backups: `backups delete`.",
        )
    engine = installation.catalog.engine
    given_up, gone = forget(engine, storage, now=installation.clock())
    if not given_up:
        others = [name for name, use in storage_use(engine).items() if use.unknown]
        raise unknown_name("storage", storage, others)
    return given_up, gone


@permitted("run.cancel")
def request_cancel(installation: Installation, run_id: str, *, actor: str) -> None:
    """Ask a run to stop. Raise UnknownName, InputError when it has ended."""
    installation.catalog.runs.request_cancel(run_id, actor=actor, now=installation.clock())


def _submit_upkeep(
    installation: Installation,
    kind: RunKind,
    params: dict[str, Any],
    actor: str,
    reason: str,
    idempotency_key: str | None,
    queue: bool,
) -> str:
    """Ask for a run that is about the whole installation, not about one database."""
    return submit_run(
        installation,
        kind,
        database=None,
        params=params,
        actor=actor,
        reason=reason,
        idempotency_key=idempotency_key,
        queue=queue,
    )
