"""The queue: DBOS in the catalogue's own database, so that a run's row and its place in it are one transaction."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from dbos import DBOS, DBOSClient

from services.catalog.catalog import Catalog
from services.catalog.model import Run
from services.catalog.runs import Enqueue, lock_name
from services.installation import Installation
from services.settings.model import DEFAULT_QUEUE

QUEUE = "runs"
WORKFLOW = "work on a run"
APPLICATION_VERSION = "1"
"""Of the workflow's own shape (its arguments), not of the product: a newer product takes over what an older queued."""

_STATES: dict[str, Literal["waiting", "taken"]] = {"ENQUEUED": "waiting", "PENDING": "taken"}
"""DBOS's own words for a workflow that has not ended, and ours for its place."""
_AGAIN = "."
"""Between the attempt and the number of places that it has lost."""

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
    # A catalogue that is away is an error here as elsewhere: who waits for it says so, and can be told to stop.
    return DBOSClient(
        system_database_url=url, system_database_engine=engine, use_listen_notify=False, retry_connection_errors=False
    )


def enqueuer(installation: Installation) -> Enqueue:
    """Return what puts runs into this installation's queues, for stores that know nothing of them."""
    return functools.partial(enqueue, installation)


def dbos_queue(name: str) -> str:
    """Given a queue's name in the settings, return its name with DBOS."""
    return QUEUE if name == DEFAULT_QUEUE else f"{QUEUE}/{name}"


def enqueue(installation: Installation, run: Run, connection: sa.Connection, *, again: int = 0) -> None:
    """Put a queued run into its database's queue, within the caller's transaction on the catalogue.

    The workflow's id names the attempt: the one of an earlier attempt that is picked up again finds that its attempt is
    over, and ends. ``again``: how many places this attempt has lost (see ``services.jobs.reconcile``). Two processes
    that put the same one back at once agree on the id, so that DBOS keeps one of them.
    """
    catalog = installation.catalog
    client = _client(catalog.engine, dbos_url(catalog))
    client.enqueue_in_transaction(
        connection,
        {
            "workflow_name": WORKFLOW,
            "queue_name": dbos_queue(installation.settings.queue_of(run.database)),
            "workflow_id": attempt_of(run) + (f"{_AGAIN}{again}" if again else ""),
            "queue_partition_key": lock_name(run.kind, run.database),
            "app_version": APPLICATION_VERSION,
        },
        run.id,
        run.attempt,
    )


@dataclass(frozen=True)
class Place:
    """A place in the queue: one of DBOS's workflows."""

    id: str
    state: Literal["waiting", "taken", "over"]
    worker: str | None
    """Which worker has taken it, or had it; None when none did."""
    queue: str = QUEUE
    """DBOS's name of the queue that it stands in."""

    @property
    def attempt(self) -> str:
        """Whose place it is, as ``attempt_of`` says it."""
        return self.id.partition(_AGAIN)[0]


def attempt_of(run: Run) -> str:
    """Return the run and its present attempt, as the id of each of its places begins."""
    return f"{run.id}-{run.attempt}"


def places(catalog: Catalog) -> list[Place]:
    """Return the places that wait, and those that a worker has taken. Raise SQLAlchemyError."""
    return _places(catalog, status=["ENQUEUED", "PENDING"])


def places_of(catalog: Catalog, run: Run) -> list[Place]:
    """Return the places that the run's present attempt has had, those that are over too. Raise SQLAlchemyError."""
    found = _places(catalog, workflow_id_prefix=attempt_of(run))
    return [place for place in found if place.attempt == attempt_of(run)]


def free(catalog: Catalog, place: Place) -> None:
    """End a place whose worker is gone: until then its lane stands still, in every worker. Raise SQLAlchemyError."""
    _client(catalog.engine, dbos_url(catalog)).cancel_workflow(place.id)


def _places(catalog: Catalog, *, status: list[str] | None = None, workflow_id_prefix: str | None = None) -> list[Place]:
    found = _client(catalog.engine, dbos_url(catalog)).list_workflows(
        name=WORKFLOW, status=status, workflow_id_prefix=workflow_id_prefix, load_input=False, load_output=False
    )
    return [
        Place(one.workflow_id, _STATES.get(one.status, "over"), one.executor_id, one.queue_name or QUEUE)
        for one in found
    ]
