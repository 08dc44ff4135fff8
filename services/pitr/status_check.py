"""One check of the status of point in time."""

from __future__ import annotations

from dataclasses import dataclass

from services.pitr.remedies import Remedy
from services.preflight.model import Severity


@dataclass(frozen=True)
class StatusCheck:
    """What was looked at, how it stands, and what mends it."""

    name: str
    severity: Severity
    message: str
    hint: str = ""
    remedy: Remedy | None = None
