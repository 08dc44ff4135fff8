"""From where something was asked: the address of a browser, or the machine that a command ran on.

The dashboard, which alone knows addresses, says so with ``know_origins``.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_sources: list[Callable[[], str | None]] = []
_KNOWN: ContextVar[str | None] = ContextVar("origin", default=None)


def know_origins(source: Callable[[], str | None]) -> None:
    """Have a function asked from where the present request came; None where it knows of no request."""
    _sources[:] = [source]


@contextmanager
def coming_from(origin: str) -> Iterator[None]:
    """While the block runs, have everything come from there: for what is done later than it was asked for."""
    token = _KNOWN.set(origin)
    try:
        yield
    finally:
        _KNOWN.reset(token)


def present_origin() -> str:
    """Return from where the present request came; of a command the machine, and what its caller says of ssh besides.

    That is their environment, which they write themselves: it stands there as what they say.
    """
    if (kept := _KNOWN.get()) is not None:
        return kept
    for source in _sources:
        if (known := source()) is not None:
            return known
    try:
        remote = str(ipaddress.ip_address(os.environ.get("SSH_CONNECTION", "").partition(" ")[0]))
    except ValueError:
        return socket.gethostname()
    return f"{socket.gethostname()} (by its own account ssh from {remote})"
