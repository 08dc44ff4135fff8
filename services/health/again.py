"""What could not be used when it was tried last is tried again soon, so that its alert ends when it is mended."""

from __future__ import annotations

from datetime import timedelta

from services.commands.upkeep import submit_health
from services.health.used_since import last_probes
from services.installation import Installation

AGAIN_AFTER = timedelta(minutes=15)


def probe_again(installation: Installation) -> str | None:
    """Ask for another health check when the last one that tried each connection found one unusable.

    Return the run's id, None when nothing is due. Called by each worker again and again: the check before is part of
    the idempotency key, so one check has one successor.
    """
    now = installation.clock()
    last = last_probes(installation.catalog.engine, now)
    if last.run is None or last.at is None or now - last.at < AGAIN_AFTER:
        return None
    if all(found.severity != "failure" for found in last.checks):
        return None
    reason = "What could not be used is tried again."
    return submit_health(installation, actor="worker", reason=reason, idempotency_key=f"health-again:{last.run.id}")
