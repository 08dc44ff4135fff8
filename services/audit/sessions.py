"""What is recorded of whoever comes to the pages: that they were refused, once for each session and reason."""

from __future__ import annotations

import logging
from typing import Any

from services.audit.model import Entry
from services.audit.record import NotRecorded, record
from services.installation import Installation

logger = logging.getLogger(__name__)


def note_refused_visit(installation: Installation, *, actor: str, action: str, why: str, **detail: Any) -> None:
    """Record that a sign-in or a page was refused. Never raises: whoever is refused stays so."""
    try:
        record(installation, Entry(actor, action, reason="", outcome="refused", detail=detail | {"error": why}))
    except NotRecorded:
        logger.exception("that %s was refused to %s could not be recorded", action, actor)
