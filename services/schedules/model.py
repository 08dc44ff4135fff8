"""Schedules as they were at any time: append-only versions, and the slots that follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from services.clock import isoformat

Job = Literal["backup", "restore_test", "verification", "cleanup", "janitor", "health"]
Source = Literal["settings", "person"]
ACTOR = "schedule"
"""Who asks for what a schedule starts."""


@dataclass(frozen=True)
class ScheduleVersion:
    """What a schedule was from ``valid_from`` on, until the next version."""

    schedule: str
    """``la_factoria/backup``, or the job alone where it belongs to no database: ``cleanup``."""
    number: int
    """1, 2, … in the order in which they were written."""
    database: str | None
    job: Job
    cron: str
    """As ``services.schedules.cron.check_cron`` returns it; ``""``: never."""
    time_zone: str
    deadline: timedelta
    """The latest that a good backup may be finished after its due time to satisfy the slot."""
    valid_from: datetime
    source: Source
    actor: str
    params: dict[str, Any] = field(default_factory=dict)
    """What the job is told beside the database; see ``services.schedules.jobs``."""
    paused: bool = False
    reason: str = ""
    defined: dict[str, Any] | None = None
    """Of a version from the settings: what they said. Compared with what they say at the next start."""

    @property
    def is_on(self) -> bool:
        """Whether it comes due at all."""
        return bool(self.cron) and not self.paused


@dataclass(frozen=True)
class Slot:
    """One due time of a schedule. Nothing is stored for it: it follows from the schedule's versions."""

    schedule: str
    database: str | None
    due: datetime
    deadline: timedelta

    @property
    def deadline_at(self) -> datetime:
        return self.due + self.deadline

    @property
    def key(self) -> str:
        """The idempotency key of its run: whoever starts the slot's work a second time gets the run of the first."""
        return f"slot:{self.schedule}:{self.label}"

    @property
    def label(self) -> str:
        """Its due time as a run's parameters hold it."""
        label = isoformat(self.due)
        assert label is not None
        return label
