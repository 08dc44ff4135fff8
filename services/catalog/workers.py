"""Workers in the catalogue: who is alive."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.catalog.schema import workers

SILENT_AFTER = timedelta(seconds=30)
"""A worker whose heart has not beaten for this long counts as gone. It beats every five seconds.

A beat dated further than this ahead of our clock counts as silence too: nobody can tell how old it is.
"""

FORGOTTEN_AFTER = timedelta(days=7)
"""The row of a worker that was killed longer ago than this says nothing any more."""


@dataclass(frozen=True)
class Worker:
    """One worker process."""

    id: str
    version: str
    started_at: datetime
    heartbeat_at: datetime
    queues: str
    """The queues that it serves, separated by spaces."""

    @property
    def serves(self) -> tuple[str, ...]:
        return tuple(self.queues.split())

    @property
    def host(self) -> str:
        """The machine that it runs on, as that calls itself."""
        return self.id.rsplit(":", 2)[0]

    def is_alive(self, now: datetime) -> bool:
        return abs(now - self.heartbeat_at) <= SILENT_AFTER


class WorkerStore:
    """The workers. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def list(self) -> builtins.list[Worker]:
        """Return the workers that were ever seen and not forgotten, the latest heartbeat first."""
        query = sa.select(workers).order_by(workers.c.heartbeat_at.desc())
        with self._engine.connect() as connection:
            return [Worker(**row._mapping) for row in connection.execute(query)]

    def alive(self, now: datetime) -> builtins.list[Worker]:
        """Return the workers whose heart beats."""
        return [worker for worker in self.list() if worker.is_alive(now)]

    def beat(self, worker_id: str, *, version: str, now: datetime, queues: Sequence[str] = ("default",)) -> None:
        """Say that a worker is alive, and which queues it serves."""
        served = " ".join(queues)
        with self._engine.begin() as connection:
            changed = connection.execute(
                workers.update()
                .where(workers.c.id == worker_id)
                .values(heartbeat_at=now, version=version, queues=served)
            )
            if changed.rowcount == 0:
                connection.execute(
                    workers.insert().values(
                        id=worker_id, version=version, started_at=now, heartbeat_at=now, queues=served
                    )
                )

    def remove(self, worker_id: str) -> None:
        """Forget a worker: it ended in order."""
        with self._engine.begin() as connection:
            connection.execute(workers.delete().where(workers.c.id == worker_id))
