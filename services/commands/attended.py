"""Whether a person sees what becomes of a command: what is refused where nobody looks must not fall silent.

A page's reader does, and whoever typed a command. A command that a system's cron, a unit or a script starts has nobody.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_UNATTENDED: ContextVar[bool] = ContextVar("unattended", default=False)


@contextlib.contextmanager
def unattended(nobody_looks: bool) -> Iterator[None]:
    """While the block runs, have the runs that are submitted noted as ones whose refusal nobody sees."""
    token = _UNATTENDED.set(nobody_looks)
    try:
        yield
    finally:
        _UNATTENDED.reset(token)


def mark() -> dict[str, bool]:
    """Return what a run's params say of it: ``unattended`` where nobody looks, else nothing."""
    return {"unattended": True} if _UNATTENDED.get() else {}
