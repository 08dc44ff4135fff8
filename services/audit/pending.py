"""What is to be recorded of the command that is being carried out, for whoever holds its transaction.

The store that writes what a command changes calls ``settle`` last in its transaction: the change and its row in the
audit log are there together, or neither is. Imports nothing, since the stores are beneath everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Settle = Callable[[Any, dict[str, Any]], None]
"""Given a connection of SQLAlchemy's and what became of it, write the row."""

_PENDING: ContextVar[Settle | None] = ContextVar("pending", default=None)


@contextmanager
def pending(settle_it: Settle) -> Iterator[None]:
    """While the block runs, have ``settle`` call this."""
    token = _PENDING.set(settle_it)
    try:
        yield
    finally:
        _PENDING.reset(token)


def settle(connection: Any, **became: Any) -> None:
    """Record the command that is being carried out, if one is, in the connection's transaction. Raise NotRecorded.

    ``became``: what is known only now, such as the id of the run that was made; ``outcome``, where it is not ``done``:
    a wish that is refused for now and kept, say.
    """
    if (settle_it := _PENDING.get()) is not None:
        settle_it(connection, became)
