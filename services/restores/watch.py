"""Signs of life from a server that works for us in silence: a parallel pg_restore, an ANALYZE, a fingerprint."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from services.errors import ConnectionFailed
from services.jobs.context import RunContext
from services.postgres.connection import Address, connect

INTERVAL = 1.0
_LOOK = """
SELECT pg_catalog.pg_database_size(pg_catalog.current_database()),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
        WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
          AND state = 'active' AND coalesce(wait_event_type, '') <> 'Lock'
          AND (%(application)s::text IS NULL OR application_name = %(application)s))
"""


@contextmanager
def report_work(database: Address, run: RunContext, *, grows: bool, application: str | None = None) -> Iterator[None]:
    """While the block runs, tell the run every second that the server works, and with ``grows`` the database's bytes.

    ``application``: only sessions of that name count, where others work in the database as well.

    One byte comes and goes while any session is at work: a long index build must not be taken for a stall. A server
    that does not answer stops the figures and nothing else, since the work has its own connections and errors.
    """
    ended = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(database, run, grows, application, ended), name="watch-server", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(timeout=10)


def _watch(database: Address, run: RunContext, grows: bool, application: str | None, ended: threading.Event) -> None:
    beat = 0
    try:
        with connect(database, application_name="backups progress") as connection:
            while not ended.wait(INTERVAL):
                row = connection.execute(_LOOK, {"application": application}).fetchone()
                assert row is not None, "a SELECT without FROM gives one row"
                size, working = row
                beat = 1 - beat if working else beat
                run.progress((size if grows else 0) + beat)
    except (ConnectionFailed, psycopg.Error):
        return
