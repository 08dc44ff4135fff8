"""One opened installation: its settings, its catalogue, its storages and its clock."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa

from services.catalog.catalog import Catalog
from services.catalog.unnamed import settle_unnamed
from services.clock import Clock, utc_now
from services.errors import SettingsError
from services.settings.load import load_access, load_alerts, load_settings
from services.settings.model import Settings
from services.storage.protocol import Storage


class Installation:
    """Everything that a use case needs. One per process; safe to share between threads."""

    def __init__(self, settings: Settings, catalog: Catalog, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.catalog = catalog
        self.clock = clock
        self._storages: dict[str, Storage] = {}
        self._lock = threading.Lock()
        catalog.runs.on_end = lambda connection, run_id: _record_end(self, connection, run_id)

    def storage(self, name: str) -> Storage:
        """Return the storage of that name, opened once. Raise UnknownName."""
        # Imported here: boto3 costs a quarter of a second, which `backups list` need not pay.
        from services.storage.open import open_storage

        settings = self.settings.storage(name)
        with self._lock:
            if name not in self._storages:
                self._storages[name] = open_storage(settings)
            return self._storages[name]

    def opened_storages(self) -> list[Storage]:
        """Return the storages that were opened so far."""
        with self._lock:
            return list(self._storages.values())

    def close(self) -> None:
        """Close the catalogue's connections."""
        self.catalog.close()


def open_installation(
    environ: Mapping[str, str] = os.environ, *, migrate: bool = False, clock: Clock = utc_now
) -> Installation:
    """Given the environment, return the installation: the configured one, or the sample environment.

    A fresh catalogue gets its tables; an older one only with ``migrate``, since another version may be running on it.
    Raise SettingsError, ConnectionFailed, BackupsError.
    """
    settings = load_settings(environ)
    if settings is None:
        from services.sample.environment import ensure_sample

        settings = ensure_sample(Path(environ.get("BACKUPS_HOME") or "var").absolute(), clock)
        settings = settings.model_copy(update={"alerts": load_alerts(environ), "access": load_access(environ)})
    return open_configured(settings, migrate=migrate, clock=clock)


def open_configured(settings: Settings, *, migrate: bool = False, clock: Clock = utc_now) -> Installation:
    """Given settings, return the installation; see ``open_installation``."""
    make_home(settings.home)
    catalog = Catalog(settings.catalog_url.get_secret_value())
    if migrate or not catalog.is_initialised():
        catalog.migrate()
    catalog.check_revision()
    settle_unnamed(catalog.engine, [storage.name for storage in settings.storages])
    return Installation(settings, catalog, clock)


def _record_end(installation: Installation, connection: sa.Connection, run_id: str) -> None:
    # Imported here: who only looks at an installation needs no audit log.
    from services.audit.runs import record_end

    record_end(installation, connection, run_id)


def make_home(home: Path) -> None:
    """Make the folder of what is the product's own, readable by its user alone. Raise SettingsError."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(
            f"The folder {home} (BACKUPS_HOME) cannot be made: {error.strerror}.",
            hint="Set BACKUPS_HOME to a folder that this user may write to.",
        ) from error
