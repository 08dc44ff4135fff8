"""From where something was asked: the address of a browser, or the machine that a command ran on.

The dashboard, which alone knows addresses, says so with ``know_origins``.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

_sources: list[Callable[[], str | None]] = []


def know_origins(source: Callable[[], str | None]) -> None:
    """Have a function asked from where the present request came; None where it knows of no request."""
    _sources[:] = [source]


def present_origin() -> str:
    """Return from where the present request came; of a command typed through ssh, from which address besides."""
    for source in _sources:
        if (known := source()) is not None:
            return known
    remote = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return f"{socket.gethostname()}{f' (ssh from {remote})' if remote else ''}"
