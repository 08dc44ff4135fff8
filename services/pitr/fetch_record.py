"""What ``wal-fetch`` leaves in the audit log: that a server, by its user, takes a database's log from the archive.

A recovery fetches thousands of files and may have nothing left but the storage: so it is one row an hour, where the
installation's own key and its catalogue can be reached from here, and never a reason not to fetch.
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

from services.errors import BackupsError
from services.settings.model import DatabaseSettings, Settings

EVERY = 3600.0
"""Seconds that one row stands for."""
LIMIT = 15.0
"""Seconds that a recovery waits for the catalogue, at most once in that time."""


def note_fetching(settings: Settings, database: DatabaseSettings, file: str) -> str:
    """Record it unless that was tried within the hour; return why it could not be, empty where it was. Never raises."""
    try:
        marker = _marker(settings, database)
        if marker is None or (marker.exists() and time.time() - marker.stat().st_mtime < EVERY):
            return ""
        marker.touch(mode=0o600)
    except (OSError, BackupsError):
        return ""  # not of this user's, so nothing of the product is kept on this machine
    failed: list[str] = []
    thread = threading.Thread(target=_record, args=(settings, database, file, failed), daemon=True)
    thread.start()
    thread.join(LIMIT)
    if thread.is_alive():
        return f"the catalogue did not answer within {LIMIT:.0f} s"
    return failed[0] if failed else ""


def _marker(settings: Settings, database: DatabaseSettings) -> Path | None:
    """Return the file whose time says when it was tried last; None on a machine that cannot seal a row."""
    from services.installation import make_home
    from services.own_key import FILE

    if settings.installation_key is None and not (settings.home / FILE).exists():
        return None
    make_home(settings.home)
    return settings.home / f".wal-fetch-{hashlib.sha256(database.name.encode()).hexdigest()[:16]}"


def _record(settings: Settings, database: DatabaseSettings, file: str, failed: list[str]) -> None:
    from services.access.identity import this_process
    from services.audit.model import Entry
    from services.audit.record import record
    from services.catalog.catalog import Catalog
    from services.installation import Installation

    try:
        catalog = Catalog(settings.catalog_url.get_secret_value())
        try:
            if catalog.is_initialised():
                detail = {"command": "pitr wal-fetch", "first": file}
                entry = Entry(this_process(), "backup.read", "database", database.name, outcome="begun", detail=detail)
                record(Installation(settings, catalog), entry)
        finally:
            catalog.close()
    except BackupsError as error:
        failed.append(error.message)
    except Exception as error:  # noqa: BLE001 - a recovery goes on, whatever the catalogue does
        failed.append(type(error).__name__)
