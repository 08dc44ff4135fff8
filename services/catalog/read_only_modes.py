"""Read-only modes in the catalogue: which database, since when, by whom, what was switched, and what is undone."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from services.catalog.schema import read_only_modes as modes
from services.names import unknown_name


@dataclass(frozen=True)
class ReadOnlyMode:
    """One time for which an emergency backup kept a database from being written."""

    id: str
    database: str
    run_id: str
    attempt: int
    """The run's attempt that began it: no later one goes on with it."""
    process: str
    """``host:pid:start`` of the process that works on that attempt."""
    actor: str
    reason: str
    began_at: datetime
    release_by: datetime
    """When it is released whatever the run does."""
    previous: str | None
    """What ``default_transaction_read_only`` was set to for the database before; None: not set."""
    already_read_only: bool
    """Whether that was read-only already: then the setting was not touched, and is left as it is."""
    sql_step: bool = False
    """Whether the database's setting may have been changed, and was not changed back."""
    command_step: bool = False
    """Whether the application's command may have been run, and its counterpart was not."""
    released_at: datetime | None = None
    released_by: str = ""
    last_error: str = ""
    """Why the last attempt to release it failed."""
    attempts: int = 0
    attempted_at: datetime | None = None


class ReadOnlyModeStore:
    """The read-only modes. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def get(self, mode_id: str) -> ReadOnlyMode:
        """Return a mode. Raise UnknownName."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(modes).where(modes.c.id == mode_id)).one_or_none()
        if row is None:
            raise unknown_name("read-only mode", mode_id, ())
        return ReadOnlyMode(**row._mapping)

    def unreleased(self, database: str | None = None) -> builtins.list[ReadOnlyMode]:
        """Return the modes that are not released, the oldest first."""
        query = sa.select(modes).where(modes.c.released_at.is_(None)).order_by(modes.c.began_at)
        if database is not None:
            query = query.where(modes.c.database == database)
        with self._engine.connect() as connection:
            return [ReadOnlyMode(**row._mapping) for row in connection.execute(query)]

    def of_run(self, run_id: str) -> builtins.list[ReadOnlyMode]:
        """Return the modes that a run began, the oldest first."""
        query = sa.select(modes).where(modes.c.run_id == run_id).order_by(modes.c.began_at)
        with self._engine.connect() as connection:
            return [ReadOnlyMode(**row._mapping) for row in connection.execute(query)]

    def add(self, mode: ReadOnlyMode, connection: sa.Connection) -> None:
        """Write a mode down, in the caller's transaction: before anything is switched."""
        connection.execute(modes.insert().values(vars(mode)))

    def note_step(self, mode_id: str, *, sql_step: bool | None = None, command_step: bool | None = None) -> bool:
        """Note that a step is about to be taken (True), or was undone (False); False when the mode is released."""
        steps = {"sql_step": sql_step, "command_step": command_step}
        return self._set(mode_id, {name: taken for name, taken in steps.items() if taken is not None})

    def reopen(self, mode: ReadOnlyMode) -> bool:
        """Say of a mode, released or not, that its steps may have been taken (again): it is to be released.

        Return False when it is not known any more.
        """
        values = {
            "sql_step": mode.sql_step, "command_step": mode.command_step, "released_at": None, "released_by": "",
        }  # fmt: skip
        with self._engine.begin() as connection:
            changed = connection.execute(modes.update().where(modes.c.id == mode.id).values(values))
        return changed.rowcount == 1

    def note_failure(self, mode_id: str, error: str, *, now: datetime) -> None:
        """Note why it could not be released now."""
        self._set(mode_id, {"last_error": error, "attempts": modes.c.attempts + 1, "attempted_at": now})

    def note_released(self, mode_id: str, *, by: str, now: datetime) -> bool:
        """Note that everything is undone; return False when somebody else did so first."""
        return self._set(mode_id, {"released_at": now, "released_by": by, "last_error": ""})

    def _set(self, mode_id: str, values: dict[str, object]) -> bool:
        with self._engine.begin() as connection:
            changed = connection.execute(
                modes.update().where(modes.c.id == mode_id, modes.c.released_at.is_(None)).values(values)
            )
        return changed.rowcount == 1
