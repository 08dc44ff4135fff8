"""How many commands one person may give: a hand that slips, a script that loops, a session that was stolen.

Counted in the process that is asked, and for pages that is the dashboard's one. What the product asks for by itself
(schedules, a worker's own copies) is not counted.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from services.access.identity import OWN
from services.errors import TooManyCommands
from services.installation import Installation

SPAN_SECONDS = 60.0
NEVER_COUNTED = frozenset(
    {"read", "export", "audit.read", "audit.export", "emergency.create", "emergency.release", "run.cancel"}
)
"""Looking is no command; and what must work at any moment, however much was asked for before: to save the data, to let
the application write again, to stop what runs."""
_MOST_PEOPLE = 10_000
"""Whoever was silent longest is forgotten first: names must not fill the memory."""


class RateLimiter:
    """Commands of the last minute, by whoever gave them. All methods may be called from any thread."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._given: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def count(self, actor: str) -> None:
        """Count a command of ``actor``. Raise TooManyCommands, with when the next one is taken; that one is no command.

        So whoever goes on trying is let in again as soon as the oldest is a minute old.
        """
        with self._lock:
            now = self._clock()
            given = self._given.pop(actor, None) or deque()
            self._given[actor] = given  # the last to come is the last to be forgotten
            while given and given[0] <= now - SPAN_SECONDS:
                given.popleft()
            if len(given) >= self._limit:
                wait = given[0] + SPAN_SECONDS - now
                raise TooManyCommands(
                    f"{actor} has given {len(given)} commands within a minute, and {self._limit} are allowed.",
                    hint=f"The next one is taken in {max(1, round(wait))} s; web.commands_per_minute sets the limit.",
                )
            given.append(now)
            if len(self._given) > _MOST_PEOPLE:
                del self._given[next(iter(self._given))]


_limiters: WeakKeyDictionary[Installation, RateLimiter] = WeakKeyDictionary()
_lock = threading.Lock()


def check_rate(installation: Installation, actor: str, permission: str) -> None:
    """Count a command that ``actor`` gives. Raise TooManyCommands when there were too many within a minute."""
    if actor in OWN or permission in NEVER_COUNTED:
        return
    with _lock:
        limiter = _limiters.setdefault(installation, RateLimiter(installation.settings.web.commands_per_minute))
    limiter.count(actor)
