"""A periodic task of the worker that is due more seldom than the worker looks round."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")


class Paced(Generic[S]):
    """Calls ``task`` at most once in ``seconds``, the first time at once; after a failure, at the next call."""

    def __init__(self, task: Callable[[S], None], seconds: float) -> None:
        self.__name__ = task.__name__
        self._task = task
        self._seconds = seconds
        self._last: float | None = None

    def __call__(self, state: S) -> None:
        now = time.monotonic()
        if self._last is None or now - self._last >= self._seconds:
            self._task(state)
            self._last = now
