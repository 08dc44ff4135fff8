"""Installations for tests: real settings, a real catalogue, real storage, in a temporary folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services.clock import Clock, utc_now
from services.installation import Installation, open_configured
from services.settings.model import DatabaseSettings, Settings, StorageSettings
from services.stream.encryption import generate_key
from tests.support.catalogs import make_catalog

UNSCHEDULED = {"schedule": "off", "restore_test_schedule": "off"}
"""Of a database: nothing comes due, whatever the hour in which the tests run."""


def make_settings(home: Path, *, url: str = "postgresql://u:p@127.0.0.1:1/la_factoria", **changes: Any) -> Settings:
    """Return settings: one database (``la_factoria``), a local storage, a fresh key, no schedules.

    ``changes`` replace fields; ``database`` those of the database.
    """
    secret, public = generate_key()
    database = UNSCHEDULED | changes.pop("database", {})
    values: dict[str, Any] = {
        "home": home,
        "catalog_url": SecretStr(f"sqlite:///{home / 'catalog.db'}"),
        "databases": (DatabaseSettings(name="la_factoria", url=SecretStr(url), **database),),
        "storages": (StorageSettings(name="primary", url=f"file://{home / 'storage'}"),),
        "recipients": (public,),
        "encryption_key": SecretStr(secret),
        "cleanup_schedule": "off",
        "janitor_schedule": "off",
        "health_schedule": "off",
    }
    return Settings(**(values | changes))


def make_installation(home: Path, *, clock: Clock = utc_now, **settings: Any) -> Installation:
    """Return an opened installation; see ``make_settings``."""
    made = make_settings(home, **settings)
    mount(made)
    make_catalog(made.catalog_url.get_secret_value()).close()
    return open_configured(made, clock=clock)


def mount(settings: Settings) -> None:
    """Make the local storages look as if something had been stored there: a row in the catalogue alone may say so.

    An empty folder of which the catalogue has copies is taken for the mount point of a disk that is away.
    """
    for storage in settings.storages:
        root = Path(storage.url.removeprefix("file://"))
        if storage.is_local and (root.is_dir() or not root.exists()):
            (root / "la_factoria").mkdir(parents=True, exist_ok=True)
