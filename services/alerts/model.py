"""An alert: one thing that is wrong with one subject, from when it was noticed until it is well again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.health.model import Severity, Subject


@dataclass(frozen=True)
class Alert:
    """One alert, open or resolved. Foreign text in its sentences is not escaped."""

    id: str
    key: str
    """As ``HealthCheck.key``: an alert is about one check of one subject, and at most one is open for each."""
    check: str
    subject: Subject
    severity: Severity
    sentence: str
    """What was wrong when it was last looked at."""
    hint: str
    count: int
    since: datetime | None
    opened_at: datetime
    notified_at: datetime
    """When people were last told."""
    messages: int
    """How often they were told."""
    well_since: datetime | None = None
    """Since when its check has been well, while the hold passes."""
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    note: str = ""
    action: str = ""
    """What was done about it by itself."""
    resolved_at: datetime | None = None
    resolution: str = ""

    @property
    def is_acknowledged(self) -> bool:
        return self.acknowledged_at is not None
