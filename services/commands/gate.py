"""The one gate before every command: who asks is looked up on each call, and refused or let through.

What is done outside of ``services.commands`` and needs a right as well (decrypting a file, rebuilding the catalogue)
enters by ``entered`` itself. So every wish of a person passes this place, and how it ended is known here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from services.access.rate import check_rate
from services.access.standing import require
from services.access.table import PERMISSIONS
from services.audit.wishes import note_refused, recorded
from services.commands.texts import check_texts
from services.errors import NotPermitted, TooManyCommands
from services.installation import Installation

P = ParamSpec("P")
R = TypeVar("R")

_FOLLOWING: ContextVar[bool] = ContextVar("following", default=False)


@dataclass
class Wish:
    """One call that passes the gate."""

    permission: str
    actor: str
    command: str
    """The function's name; for what is no command of this package the permission's."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    """What the command returned, once it has."""


@contextmanager
def entered(
    installation: Installation,
    permission: str,
    *,
    actor: str,
    command: str = "",
    arguments: Mapping[str, Any] | None = None,
) -> Iterator[Wish]:
    """Let the block run if the actor may; how that ends is known here: done, or failed.

    Raise NotPermitted, TooManyCommands.
    """
    wish = Wish(permission, actor, command or permission, arguments or {})
    if not _FOLLOWING.get():
        admit(installation, wish)
        try:
            check_rate(installation, actor, permission)
        except TooManyCommands as error:
            note_refused(installation, wish, error)
            raise
    with recorded(installation, wish):
        yield wish


def admit(installation: Installation, wish: Wish) -> None:
    """Let a wish through, or refuse it; the only place where one is refused. Raise NotPermitted.

    By itself, without ``entered``, for the command line, which refuses before it begins what a command passes again.
    """
    try:
        require(installation, wish.actor, wish.permission)
    except NotPermitted as error:
        note_refused(installation, wish, error)
        raise


@contextmanager
def following() -> Iterator[None]:
    """While the block runs, let through what follows from a run that was permitted when it was asked for.

    A backup's further copies, say: whoever asked for it may have lost the right since, and the copies are due all the
    same.
    """
    token = _FOLLOWING.set(True)
    try:
        yield
    finally:
        _FOLLOWING.reset(token)


def permitted(
    permission: str, *, instead: Callable[[Mapping[str, Any]], str | None] | None = None
) -> Callable[[Callable[Concatenate[Installation, P], R]], Callable[Concatenate[Installation, P], R]]:
    """Mark a command with the permission that it needs; it takes ``actor`` by name.

    ``instead``: given the call's arguments, the further permission that these need, or None.
    """
    assert permission in PERMISSIONS, permission

    def mark(command: Callable[Concatenate[Installation, P], R]) -> Callable[Concatenate[Installation, P], R]:
        signature = inspect.signature(command)
        assert "actor" in signature.parameters, command

        @functools.wraps(command)
        def gated(installation: Installation, *args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(installation, *args, **kwargs)
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if name != "installation"}
            check_texts(given)
            needed = (instead(given) if instead is not None else None) or permission
            with entered(installation, needed, actor=given["actor"], command=command.__name__, arguments=given) as wish:
                wish.result = command(installation, *args, **kwargs)
                return wish.result  # type: ignore[no-any-return]

        gated.permission = permission  # type: ignore[attr-defined]
        return cast(Callable[Concatenate[Installation, P], R], gated)

    return mark
