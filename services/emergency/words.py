"""What is said of a read-only mode: the same in the log, on the command line, in the banner and in hints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from services.catalog.model import Run
from services.catalog.read_only_modes import ReadOnlyMode

_BEFORE_THE_MODE = ("", "checking first", "switching to read-only mode")
"""Phases of a run in which read-only mode is not on yet."""


def state_of(mode: ReadOnlyMode) -> str:
    """Say what a mode that is not released keeps from working now."""
    if mode.already_read_only:
        return "was read-only before, and is held so"
    if mode.sql_step:
        return "cannot be written"
    if mode.command_step:
        return "can be written, but its application is still told to be read-only"
    return "is about to be switched, or released"


def after_release(mode: ReadOnlyMode, by: str = "") -> str:
    """Say how a database is that was released, as ``by`` did."""
    how = "it was read-only before, and stays so" if mode.already_read_only else "new sessions can write"
    return f"Read-only mode of {mode.database} is released{f' by {by}' if by else ''}: {how}."


def by_hand(mode: ReadOnlyMode) -> str:
    """Say how what is left of a mode is undone without us."""
    ways = []
    if mode.sql_step:
        what = "RESET default_transaction_read_only"
        if mode.previous is not None:
            what = f"SET default_transaction_read_only = '{mode.previous}'"
        ways.append(f"ALTER DATABASE … {what}, from a session with BEGIN READ WRITE.")
    if mode.command_step:
        ways.append("Tell the application to go on, as read_only_off_command would.")
    return " ".join(ways)


@dataclass(frozen=True)
class Writes:
    """What somebody who looks at a run that asked for read-only mode should know about writes."""

    said: str = ""
    """One sentence; empty while there is nothing to say but what the banner says."""
    is_warning: bool = False
    is_held: bool = True
    """Whether the run's read-only mode is on, or is yet to come."""


def writes_of(run: Run, modes: Sequence[ReadOnlyMode]) -> Writes:
    """Say whether a run's database can be written. ``modes``: those that the run began, the oldest first."""
    mode = modes[-1] if modes else None
    if run.is_active:
        return _while_active(run, mode)
    if mode is None:
        return Writes("Read-only mode was not switched on: writes were allowed all the time.", is_held=False)
    if mode.released_at is None:
        return Writes(f"Read-only mode is not released yet: {mode.database} {state_of(mode)}.", is_warning=True)
    if mode.already_read_only:
        return Writes(f"{mode.database} was read-only before this run, and stays so.", is_held=False)
    return Writes(f"Writes are allowed again since {_at(mode)}: released by {mode.released_by}.", is_held=False)


def _while_active(run: Run, mode: ReadOnlyMode | None) -> Writes:
    if mode is None:
        if run.state == "queued" or (run.phase or "") in _BEFORE_THE_MODE:
            return Writes()
        return Writes("Read-only mode is not on: this backup is made without it, and writes go on.", True, False)
    if mode.released_at is None:
        return Writes()
    if mode.attempt == run.attempt and mode.released_by == "its run":
        return Writes(is_held=False)
    how = "It was read-only before, and stays so." if mode.already_read_only else "New sessions can write."
    goes_on = f"Attempt {run.attempt} backs up" if run.attempt > mode.attempt else "The backup goes on"
    said = f"Read-only mode was released at {_at(mode)} by {mode.released_by}. {how} {goes_on} without it."
    return Writes(said, True, False)


def _at(mode: ReadOnlyMode) -> str:
    return f"{mode.released_at.astimezone(UTC):%-d %b %H:%M:%S} UTC" if mode.released_at else ""
