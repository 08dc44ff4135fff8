"""What is said of a read-only mode: the same in the log, on the command line, in the banner and in hints."""

from __future__ import annotations

from services.catalog.read_only_modes import ReadOnlyMode


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
