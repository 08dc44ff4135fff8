"""What is to be called when work has to stop: each is called, whatever becomes of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)


def call_each(stops: Iterable[Callable[[], None]], *, run_id: str) -> None:
    """Call all of them. One that fails is logged: a server that is away cannot be told to give up, a child can."""
    for stop in stops:
        try:
            stop()
        except Exception:
            logger.warning("run %s: something could not be told to stop at once", run_id, exc_info=True)
