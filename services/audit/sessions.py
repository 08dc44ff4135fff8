"""What is recorded of whoever comes to the pages: that they signed in, or were refused. Not each time, or they fill it.

A page is loaded anew as often as somebody likes, and with a provider that signs anybody in, by anybody. So a session
is recorded once (``app.py``), a person and what was refused to them once a minute, and of refusals so many a minute.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from services.audit.model import Entry
from services.audit.record import NotRecorded, record
from services.installation import Installation

logger = logging.getLogger(__name__)
SPAN = timedelta(minutes=1)
MOST_REFUSALS = 60
"""Refused visits that are recorded within ``SPAN``, of everybody together; the others are in the program's own log."""


@dataclass
class _Recent:
    """What was recorded within the last ``SPAN``."""

    by_whom: dict[tuple[str, str], datetime] = field(default_factory=dict)
    refusals: deque[datetime] = field(default_factory=deque)


_recent: WeakKeyDictionary[Installation, _Recent] = WeakKeyDictionary()
_lock = threading.Lock()


def is_due(installation: Installation, actor: str, action: str) -> bool:
    """Say whether that of this person is to be recorded now: not where it was within the last minute."""
    return _is_due(installation, actor, action, is_refusal=False)


def note_refused_visit(installation: Installation, *, actor: str, action: str, why: str, **detail: Any) -> None:
    """Record that a sign-in or a page was refused. Never raises: whoever is refused stays so."""
    if not _is_due(installation, actor, f"{action} refused", is_refusal=True):
        logger.info("%s was refused to %s once more: %s", action, actor, why)
        return
    try:
        record(installation, Entry(actor, action, reason="", outcome="refused", detail=detail | {"error": why}))
    except NotRecorded:
        logger.exception("that %s was refused to %s could not be recorded", action, actor)


def _is_due(installation: Installation, actor: str, action: str, *, is_refusal: bool) -> bool:
    now, key = installation.clock(), (actor, action)
    with _lock:
        recent = _recent.setdefault(installation, _Recent())
        for known in [known for known, at in recent.by_whom.items() if now - at >= SPAN]:
            del recent.by_whom[known]
        while recent.refusals and now - recent.refusals[0] >= SPAN:
            recent.refusals.popleft()
        if key in recent.by_whom or (is_refusal and len(recent.refusals) >= MOST_REFUSALS):
            return False
        recent.by_whom[key] = now
        if is_refusal:
            recent.refusals.append(now)
        return True
