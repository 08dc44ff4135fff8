"""The queue: DBOS in the catalogue's own database, so that a run's row and its place in it are one transaction."""

from __future__ import annotations

import functools
import threading

import sqlalchemy as sa
from dbos import DBOS, DBOSClient

from services.catalog.catalog import Catalog
from services.catalog.model import Run
from services.catalog.runs import Enqueue, lock_name

QUEUE = "runs"
WORKFLOW = "work on a run"
APPLICATION_VERSION = "1"
"""Of the workflow's own shape (its arguments), not of the product: a newer product takes over what an older queued."""

_migrated: set[str] = set()
_migrating = threading.Lock()


def dbos_url(catalog: Catalog) -> str:
    """Return the catalogue's URL as DBOS takes it."""
    url = catalog.engine.url
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    return url.render_as_string(hide_password=False)


def prepare_queue(catalog: Catalog) -> None:
    """Make or update the queue's tables. Safe for several processes at once; does nothing the second time."""
    url = dbos_url(catalog)
    with _migrating:
        if url not in _migrated:
            DBOS.migrate(url)
            _migrated.add(url)


@functools.lru_cache(maxsize=8)
def _client(engine: sa.Engine, url: str) -> DBOSClient:
    return DBOSClient(system_database_url=url, system_database_engine=engine, use_listen_notify=False)


def enqueuer(catalog: Catalog) -> Enqueue:
    """Return what puts runs into this catalogue's queue, for stores that know nothing of the queue."""
    return functools.partial(enqueue, catalog)


def enqueue(catalog: Catalog, run: Run, connection: sa.Connection) -> None:
    """Put a queued run into the queue, within the caller's transaction on the catalogue.

    The workflow's id names the attempt: the one of an earlier attempt that a restarted worker picks up again finds
    that its attempt is over, and ends.
    """
    client = _client(catalog.engine, dbos_url(catalog))
    client.enqueue_in_transaction(
        connection,
        {
            "workflow_name": WORKFLOW,
            "queue_name": QUEUE,
            "workflow_id": f"{run.id}-{run.attempt}",
            "queue_partition_key": lock_name(run.kind, run.database),
            "app_version": APPLICATION_VERSION,
        },
        run.id,
        run.attempt,
    )
