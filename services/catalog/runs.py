"""Runs in the catalogue: their rows, their logs, and the locks that keep two of them off one database.

A run is worked on under a *claim*: (worker, attempt). Whoever lost its claim, because it was silent for too long and
the run was taken over, can no longer write to the row: ``beat`` and ``finish`` raise ``ClaimLost``.
"""

from __future__ import annotations

import builtins
import hashlib
import statistics
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.audit.pending import settle
from services.catalog.model import ACTIVE_STATES, LogLine, Run, RunKind, RunState
from services.catalog.schema import active, locks, run_log, runs
from services.errors import BackupsError, Busy, InputError
from services.ids import new_id
from services.names import unknown_name

Lane = Literal["source", "checks", "copies", "thaws", "retention", "base"]
_LANES: dict[RunKind, Lane] = {
    "backup": "source",
    "adopt": "source",
    "verification": "checks",
    "restore_test": "checks",
    "restore": "checks",
    "janitor": "checks",
    "health": "checks",
    "copy": "copies",
    "compress": "checks",
    "archive": "checks",
    "thaw": "thaws",
    "cleanup": "retention",
    "base_backup": "base",
    "point_test": "checks",
    "point_restore": "checks",
    "rotate": "checks",
}
Enqueue = Callable[[Run, sa.Connection], None]
"""Puts a queued run into the queue, within a transaction on the catalogue."""
OnEnd = Callable[[sa.Connection, str], None]
"""Given a connection and the id of a run that has just ended in its transaction, does what belongs to that."""
_RUN_COLUMNS = [column for column in runs.c if column.name not in ("idempotency_key", "leftovers")]


_MAX_KEY = 80
"""Characters of an idempotency key in the catalogue; a longer one is kept as its sha256."""
_CHUNK = 3000  # keys in one IN list: a thousand slots with their retries


def stored_key(idempotency_key: str | None) -> str | None:
    """Return a key as the catalogue holds it, on SQLite as on PostgreSQL, which would refuse a long one."""
    if idempotency_key is None or len(idempotency_key) <= _MAX_KEY:
        return idempotency_key
    return hashlib.sha256(idempotency_key.encode("utf-8", "surrogatepass")).hexdigest()


class ClaimLost(BackupsError):
    """The run was taken over by another worker, or ended by somebody else."""


@dataclass(frozen=True)
class Claim:
    """The right to write to a running run."""

    run_id: str
    worker: str
    attempt: int


def lock_name(kind: RunKind, database: str | None) -> str:
    """Given a run's kind and database, return the lock it needs.

    A database has a lane for what reads the source (backups) and one for what reads or rewrites the store
    (verifications, restores, compress, archive), so that a backup before a deploy does not wait for a long restore
    test. Copies have one of their own, since no restore may wait for an upload; ``hold`` keeps them and what rewrites
    the same backup apart. Thaws only ask. Cleanups have their own, and pass over what a run in another lane works on
    (``services.catalog.deletions``). One run at a time in each.
    """
    return f"{database or '*'}/{_LANES[kind]}"


class RunStore:
    """The runs, oldest facts first. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.on_end: OnEnd = lambda _connection, _run_id: None
        """Told of each run that ends, however it does, in the transaction that ends it."""

    # -- asking -----------------------------------------------------------------------------------------------------

    def get(self, run_id: str) -> Run:
        """Return a run. Raise UnknownName."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(*_RUN_COLUMNS).where(runs.c.id == run_id)).one_or_none()
            if row is None:
                recent = connection.scalars(sa.select(runs.c.id).order_by(runs.c.queued_at.desc()).limit(50)).all()
                raise unknown_name("run", run_id, recent)
        return _to_run(row)

    def list(
        self,
        *,
        database: str | None = None,
        kind: RunKind | None = None,
        states: Collection[RunState] | None = None,
        backup_id: str | None = None,
        since: datetime | None = None,
        limit: int | None = 100,
    ) -> builtins.list[Run]:
        """Return runs, the newest first. ``since`` is about the time they were asked for."""
        query = sa.select(*_RUN_COLUMNS).order_by(runs.c.queued_at.desc(), runs.c.id.desc())
        if database is not None:
            query = query.where(runs.c.database == database)
        if kind is not None:
            query = query.where(runs.c.kind == kind)
        if states is not None:
            query = query.where(runs.c.state.in_(list(states)))
            if set(states) <= set(ACTIVE_STATES):
                query = query.where(active())  # the same again, in the words of their index
        if backup_id is not None:
            query = query.where(runs.c.backup_id == backup_id)
        if since is not None:
            query = query.where(runs.c.queued_at >= since)
        if limit is not None:
            query = query.limit(limit)
        with self._engine.connect() as connection:
            return [_to_run(row) for row in connection.execute(query)]

    def active(self) -> builtins.list[Run]:
        """Return the runs that are queued or running, the newest first."""
        return self.list(states=ACTIVE_STATES, limit=None)

    def log(self, run_id: str, *, after: int = 0, last: int | None = None) -> builtins.list[LogLine]:
        """Return a run's log lines in order: all, those after the first ``after`` ones, or the ``last`` ones."""
        query = sa.select(run_log.c.at, run_log.c.level, run_log.c.message).where(run_log.c.run_id == run_id)
        if last is not None:
            query = query.order_by(run_log.c.id.desc()).limit(last)
        else:
            query = query.order_by(run_log.c.id).offset(after)
        with self._engine.connect() as connection:
            lines = [LogLine(at=row.at, level=row.level, message=row.message) for row in connection.execute(query)]
        return lines[::-1] if last is not None else lines

    def by_idempotency_key(self, key: str) -> Run | None:
        """Return the run that was asked for under this key, if any."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(*_RUN_COLUMNS).where(runs.c.idempotency_key == key)).one_or_none()
        return None if row is None else _to_run(row)

    def by_idempotency_keys(self, keys: Iterable[str]) -> dict[str, Run]:
        """Return the runs that were asked for under these keys, however long, by key. A query for 3,000 keys."""
        stored = {stored_key(key): key for key in keys}
        wanted = list(stored)
        found: dict[str, Run] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                query = sa.select(*_RUN_COLUMNS, runs.c.idempotency_key).where(runs.c.idempotency_key.in_(chunk))
                for row in connection.execute(query):
                    values = dict(row._mapping)
                    key = stored[values.pop("idempotency_key")]
                    found[key] = Run(**values)
        return found

    def typical_seconds(self, kind: RunKind, database: str | None, *, level: str | None = None) -> float | None:
        """Return the median length in seconds of the last five finished runs like this one; None without history."""
        past = self.list(database=database, kind=kind, states=["finished"], limit=25)
        like = [run for run in past if level is None or run.params.get("level") == level][:5]
        lengths = [run.duration.total_seconds() for run in like if run.duration is not None]
        return statistics.median(lengths) if lengths else None

    def leftovers(self, run_id: str) -> builtins.list[dict[str, str]]:
        """Return what the run would leave behind if it died now; see ``RunContext.leftover``."""
        with self._engine.connect() as connection:
            found = connection.scalar(sa.select(runs.c.leftovers).where(runs.c.id == run_id))
        return list(found or [])

    # -- writing ----------------------------------------------------------------------------------------------------

    def add(
        self,
        *,
        kind: RunKind,
        database: str | None,
        actor: str,
        reason: str,
        params: dict[str, Any],
        now: datetime,
        backup_id: str | None = None,
        idempotency_key: str | None = None,
        expected_seconds: float | None = None,
        connection: sa.Connection | None = None,
    ) -> Run:
        """Add a queued run and return it. Inside ``connection``'s transaction if one is given.

        Raise sqlalchemy's IntegrityError when the idempotency key was used before (see ``by_idempotency_key``).
        """
        assert kind in get_args(RunKind)
        values: dict[str, Any] = {
            "id": new_id(now), "kind": kind, "database": database, "backup_id": backup_id, "state": "queued",
            "actor": actor, "reason": reason, "params": params, "idempotency_key": idempotency_key, "queued_at": now,
            "attempt": 0, "phase": "", "bytes_done": 0, "error": "", "hint": "", "result": {}, "leftovers": [],
            "expected_seconds": expected_seconds,
        }  # fmt: skip
        if connection is not None:
            connection.execute(runs.insert().values(values))
            row = connection.execute(sa.select(*_RUN_COLUMNS).where(runs.c.id == values["id"])).one()
        else:
            with self._engine.begin() as own:
                own.execute(runs.insert().values(values))
                row = own.execute(sa.select(*_RUN_COLUMNS).where(runs.c.id == values["id"])).one()
        return _to_run(row)

    def claim(self, run_id: str, *, worker: str, now: datetime) -> Claim:
        """Take a queued run and its lock, and set it running.

        Raise Busy when another run holds the lock, ClaimLost when the run is not queued any more.
        """
        try:
            with self._engine.begin() as connection:
                _lock_row(connection, run_id)
                run = connection.execute(
                    sa.select(runs.c.kind, runs.c.database, runs.c.state, runs.c.attempt).where(runs.c.id == run_id)
                ).one()
                if run.state != "queued":
                    raise ClaimLost(f"Run {run_id} is {run.state}, not queued.")
                name = lock_name(run.kind, run.database)
                connection.execute(locks.insert().values(name=name, run_id=run_id, taken_at=now))
                connection.execute(
                    runs.update()
                    .where(runs.c.id == run_id)
                    .values(
                        state="running",
                        worker=worker,
                        attempt=run.attempt + 1,
                        started_at=sa.func.coalesce(
                            runs.c.started_at, sa.bindparam("now", now, runs.c.started_at.type)
                        ),
                        heartbeat_at=now,
                        phase="starting",
                        phase_started_at=now,
                        bytes_done=0,
                    )
                )
                return Claim(run_id, worker, run.attempt + 1)
        except IntegrityError as error:
            holder = self._lock_holder(name)
            raise Busy(
                f"Another run works on {run.database or 'this'} ({holder or 'just ended'}).",
                hint="Wait for it, watch it on the page, or cancel it.",
            ) from error

    def _lock_holder(self, name: str) -> str | None:
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(locks.c.run_id).where(locks.c.name == name))

    def beat(
        self,
        claim: Claim,
        *,
        now: datetime,
        phase: str,
        phase_started_at: datetime,
        bytes_done: int,
        bytes_total: int | None,
    ) -> bool:
        """Say that the run is alive and how far it is; return whether somebody asked it to stop. Raise ClaimLost."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                runs.update()
                .where(_claimed(claim))
                .values(
                    heartbeat_at=now,
                    phase=phase,
                    phase_started_at=phase_started_at,
                    bytes_done=bytes_done,
                    bytes_total=bytes_total,
                )
            )
            if changed.rowcount != 1:
                raise ClaimLost(f"Run {claim.run_id} was taken over or ended by somebody else.")
            asked = connection.scalar(sa.select(runs.c.cancel_requested_at).where(runs.c.id == claim.run_id))
        return asked is not None

    def set_backup(self, run_id: str, backup_id: str, connection: sa.Connection) -> None:
        """Note which backup the run has made, in the transaction that records the backup."""
        connection.execute(runs.update().where(runs.c.id == run_id).values(backup_id=backup_id))

    def check_claim(self, claim: Claim, connection: sa.Connection) -> None:
        """Raise ClaimLost unless the claim holds; nobody can take it before the connection's transaction ends."""
        # See _lock_row for why this is an UPDATE.
        held = connection.execute(runs.update().where(_claimed(claim)).values(attempt=runs.c.attempt))
        if held.rowcount != 1:
            raise ClaimLost(f"Run {claim.run_id} was taken over or ended by somebody else.")

    def finish(
        self,
        claim: Claim,
        *,
        state: Literal["finished", "failed", "cancelled"],
        now: datetime,
        error: str = "",
        hint: str = "",
        result: dict[str, Any] | None = None,
    ) -> None:
        """End a run and free its lock. A ``backup_id`` in the result becomes the run's. Raise ClaimLost."""
        values: dict[str, Any] = {"state": state, "finished_at": now, "heartbeat_at": now, "error": error, "hint": hint}
        values["result"] = result or {}
        if result and "backup_id" in result:
            values["backup_id"] = result["backup_id"]
        with self._engine.begin() as connection:
            changed = connection.execute(runs.update().where(_claimed(claim)).values(values))
            if changed.rowcount != 1:
                raise ClaimLost(f"Run {claim.run_id} was taken over or ended by somebody else.")
            connection.execute(locks.delete().where(locks.c.run_id == claim.run_id))
            self.on_end(connection, claim.run_id)

    def take_over(self, run: Run, *, worker: str, now: datetime) -> bool:
        """Take a dead worker's run, to clean up after it; return False if another did so first.

        Whoever holds it beats no heart: should it die as well, the next one takes over.
        """
        with self._engine.begin() as connection:
            changed = connection.execute(
                runs.update()
                .where(
                    runs.c.id == run.id,
                    runs.c.state == "running",
                    runs.c.worker == run.worker,
                    runs.c.attempt == run.attempt,
                    runs.c.heartbeat_at == run.heartbeat_at,
                )
                .values(worker=worker, heartbeat_at=now)
            )
        return changed.rowcount == 1

    def take_back(
        self,
        run: Run,
        *,
        state: Literal["queued", "lost"],
        now: datetime,
        error: str = "",
        hint: str = "",
        enqueue: Enqueue | None = None,
    ) -> bool:
        """End the claim of a run whose worker is gone and free its lock; return False if it moved in the meantime.

        ``enqueue`` puts a run that is queued again into the queue, in the same transaction.
        """
        values: dict[str, Any] = {"state": state, "error": error, "hint": hint, "leftovers": [], "result": {}}
        if state != "queued":
            values["finished_at"] = now
        if enqueue is not None:
            values["params"] = run.params | {"queued": True}  # from now on the worker's, if it was not before
        with self._engine.begin() as connection:
            changed = connection.execute(
                runs.update()
                .where(runs.c.id == run.id, runs.c.state == "running", runs.c.attempt == run.attempt)
                .values(values)
            )
            if changed.rowcount == 1:
                connection.execute(locks.delete().where(locks.c.run_id == run.id))
                if enqueue is not None:
                    enqueue(replace(run, state=state), connection)
                if state != "queued":
                    self.on_end(connection, run.id)
        return changed.rowcount == 1

    def enqueue_again(self, run: Run, enqueue: Enqueue) -> bool:
        """Give a queued run that lost its place in the queue a new one; return False if it moved in the meantime."""
        with self._engine.begin() as connection:
            still = connection.execute(
                runs.update()
                .where(runs.c.id == run.id, runs.c.state == "queued", runs.c.attempt == run.attempt)
                .values(attempt=runs.c.attempt)
            )
            if still.rowcount == 1:
                enqueue(run, connection)
        return still.rowcount == 1

    def fail_queued(self, run_id: str, *, now: datetime, error: str, hint: str) -> bool:
        """End a run that never started as failed; return False if it is not queued."""
        with self._engine.begin() as connection:
            changed = connection.execute(
                runs.update()
                .where(runs.c.id == run_id, runs.c.state == "queued")
                .values(state="failed", finished_at=now, error=error, hint=hint)
            )
            if changed.rowcount == 1:
                self.on_end(connection, run_id)
        return changed.rowcount == 1

    def request_cancel(self, run_id: str, *, actor: str, now: datetime) -> Run:
        """Ask a run to stop. A queued one is cancelled at once. Raise UnknownName, InputError when it has ended."""
        with self._engine.begin() as connection:
            asked = {"cancel_requested_at": now, "cancel_requested_by": actor}
            ended = connection.execute(
                runs.update()
                .where(runs.c.id == run_id, runs.c.state == "queued")
                .values(state="cancelled", finished_at=now, error=f"Cancelled by {actor} before it started.", **asked)
            )
            if ended.rowcount == 0:
                ended = connection.execute(
                    runs.update().where(runs.c.id == run_id, runs.c.state == "running").values(**asked)
                )
            if ended.rowcount:
                settle(connection)
        run = self.get(run_id)
        if run.cancel_requested_at is None:
            raise InputError(f"Run {run_id} is {run.state}; it cannot be cancelled any more.")
        return run

    @contextmanager
    def hold(self, name: str, run_id: str, *, now: datetime) -> Iterator[None]:
        """While the block runs, hold a lock beside that of the run's lane; it is freed with the run's end, too.

        Raise Busy when another run holds it.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(locks.insert().values(name=name, run_id=run_id, taken_at=now))
        except IntegrityError as error:
            raise Busy(
                f"Another run works on the same backup ({self._lock_holder(name) or 'just ended'}).",
                hint="Wait for it, watch it on the page, or cancel it.",
            ) from error
        try:
            yield
        finally:
            with self._engine.begin() as connection:
                connection.execute(locks.delete().where(locks.c.name == name, locks.c.run_id == run_id))

    def add_log(self, run_id: str, lines: Iterable[LogLine]) -> None:
        """Append lines to a run's log."""
        values = [{"run_id": run_id, "at": line.at, "level": line.level, "message": line.message} for line in lines]
        if values:
            with self._engine.begin() as connection:
                connection.execute(run_log.insert(), values)

    def add_leftover(self, run_id: str, leftover: dict[str, str]) -> None:
        """Remember something that a crash would leave behind."""
        self._change_leftovers(run_id, lambda entries: [*entries, leftover])

    def remove_leftover(self, run_id: str, leftover: dict[str, str]) -> None:
        """Forget it: it is gone, or has become part of a finished backup."""
        self._change_leftovers(run_id, lambda entries: [entry for entry in entries if entry != leftover])

    def _change_leftovers(self, run_id: str, change: Any) -> None:
        with self._engine.begin() as connection:
            _lock_row(connection, run_id)
            entries = connection.scalar(sa.select(runs.c.leftovers).where(runs.c.id == run_id))
            connection.execute(runs.update().where(runs.c.id == run_id).values(leftovers=change(list(entries or []))))


def _lock_row(connection: sa.Connection, run_id: str) -> None:
    """Have what is read of a run from now on stay true until the transaction ends.

    An UPDATE, since that takes the lock on SQLite as well, where a SELECT begins no transaction.
    """
    connection.execute(runs.update().where(runs.c.id == run_id).values(attempt=runs.c.attempt))


def _claimed(claim: Claim) -> sa.ColumnElement[bool]:
    return sa.and_(
        runs.c.id == claim.run_id,
        runs.c.state == "running",
        runs.c.worker == claim.worker,
        runs.c.attempt == claim.attempt,
    )


def _to_run(row: sa.Row[Any]) -> Run:
    return Run(**row._mapping)
