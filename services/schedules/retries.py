"""A slot's run that failed is tried again within the slot's deadline: twice, each time by a run of its own. Pure.

Not when somebody cancelled it or it died with its worker as often as it may (``services.jobs.recovery`` starts those
again), nor for what only a person can mend, a wrong password say: ``BackupsError.may_pass`` of what ended the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.catalog.model import Run
from services.schedules.model import Slot

PAUSES = (timedelta(minutes=5), timedelta(minutes=15))
"""From the end of a run that failed to the next one: a server that restarts, a network that is away for a moment."""


@dataclass(frozen=True)
class Retry:
    """The next run of a slot whose last one failed."""

    number: int
    """1, 2, …, up to the length of ``PAUSES``."""
    of: Run
    """The run that failed."""
    key: str
    """Its idempotency key."""
    at: datetime
    """Not before this."""

    @property
    def reason(self) -> str:
        """Why it was started, as its run says it."""
        return f"Retry {self.number} of {len(PAUSES)}: run {self.of.id} failed."


def keys_of(slot: Slot) -> tuple[str, ...]:
    """Return the idempotency keys that the runs of a slot can have, in the order in which they are used."""
    return slot.key, *(f"{slot.key}:retry{number}" for number in range(1, len(PAUSES) + 1))


def runs_of(slot: Slot, runs: Mapping[str, Run]) -> list[Run]:
    """Given runs by their key, return those of a slot, the first one first."""
    return [runs[key] for key in keys_of(slot) if key in runs]


def next_retry(slot: Slot, runs: Mapping[str, Run]) -> Retry | None:
    """Given runs by their key, return the retry that follows in a slot, which may still lie ahead; None: none does."""
    done = runs_of(slot, runs)
    if not 0 < len(done) <= len(PAUSES):
        return None
    last = done[-1]
    if last.state != "failed" or last.finished_at is None or not last.result.get("may_pass", True):
        return None
    at = last.finished_at + PAUSES[len(done) - 1]
    return Retry(len(done), last, keys_of(slot)[len(done)], at) if at <= slot.deadline_at else None
