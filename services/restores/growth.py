"""How far a parallel pg_restore is: it does not say so itself, but its database grows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from services.errors import ConnectionFailed
from services.jobs.context import RunContext
from services.postgres.connection import Address, connect

INTERVAL = 1.0


@contextmanager
def report_growth(database: Address, run: RunContext) -> Iterator[None]:
    """While the block runs, tell the run every second how large the database is, in bytes.

    A server that does not answer stops the figures and nothing else: the restore has its own connections and errors.
    """
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(database, run, ended), name="restore-growth", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(timeout=10)


def _watch(database: Address, run: RunContext, ended: threading.Event) -> None:
    try:
        with connect(database) as connection:
            while not ended.wait(INTERVAL):
                row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
                run.progress(int(row[0]) if row else 0)
    except (ConnectionFailed, psycopg.Error):
        return
