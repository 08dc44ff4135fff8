"""The sample environment: what the product starts on when nothing is configured at all.

Everything of it lies in ``BACKUPS_HOME/sample``: server, catalogue, storage, keys. A configured installation never
looks there, so neither can be mixed into the other, whatever is configured later in the same home.
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from threading import Event
from time import monotonic

from pydantic import SecretStr

from services.clock import Clock, isoformat, utc_now
from services.errors import TimedOut
from services.installation import make_home, open_configured
from services.postgres.connection import Address
from services.postgres.server import LocalServer, embedded_bin_dir
from services.sample.databases import BACKUP_ROLE, SCRIPTS, build_databases, do_a_days_work
from services.sample.history_model import STORIES
from services.sample.keys import SampleKeys, ensure_keys
from services.settings.model import DatabaseSettings, Settings, StorageSettings

logger = logging.getLogger(__name__)

FOLDER = "sample"
VERSION = 1
"""Raised when the sample's content changes; a sample of an older version goes on as it is."""
SETUP_LIMIT = 300.0
"""Seconds to wait for another process that is making the environment."""


def ensure_sample(home: Path, clock: Clock = utc_now) -> Settings:
    """Return the sample's settings, with its server running; make the environment first where it is not there.

    Making it takes some 20 seconds, in which other processes wait. One that was killed half-way is completed by the
    next call. Raise BackupsError when the server, a backup or the restore test fails, TimedOut when another process
    takes longer than SETUP_LIMIT.
    """
    root = home / FOLDER
    make_home(root)
    # Taken by everybody: the server of a finished environment may be stopping or starting, too.
    with _only_one(root / "setup.lock"):
        started = monotonic()
        server = _server(root)
        if not (root / "keys").exists():
            # What an environment removed by hand has left: its server's data may lie outside of it (server_user).
            server.destroy()
            server = _server(root)  # its stand-in folder went with the old one
        keys = ensure_keys(root / "keys")
        server.start()
        settings = _settings(root, keys, server.address)
        if not _ready_file(root).exists():
            logger.info("sample: server runs after %.1f s", monotonic() - started)
            _make(root, server, settings, keys, clock)
            logger.info("sample: ready after %.1f s", monotonic() - started)
    return settings


def stop_sample(home: Path) -> None:
    """Stop the server of the sample environment; nothing happens where there is none, or where it does not run."""
    root = home / FOLDER
    if root.exists():
        with _only_one(root / "setup.lock"):
            _server(root).stop()


def _make(root: Path, server: LocalServer, settings: Settings, keys: SampleKeys, clock: Clock) -> None:
    # Imported here: a start on a finished environment needs neither jobs nor storages.
    from services.sample.first_start import make_history

    now = clock()
    started = monotonic()
    build_databases(server.address, now.astimezone(UTC).date(), keys.role_password)
    logger.info("sample: databases built in %.1f s", monotonic() - started)
    installation = open_configured(settings, migrate=True, clock=clock)
    try:
        make_history(installation, lambda: do_a_days_work(server.address))
    finally:
        installation.close()
    partial = _ready_file(root).with_suffix(".partial")
    partial.write_text(json.dumps({"version": VERSION, "made_at": isoformat(now)}))
    partial.rename(_ready_file(root))


def _ready_file(root: Path) -> Path:
    return root / "ready.json"


def _server(root: Path) -> LocalServer:
    return LocalServer(embedded_bin_dir(), root / "server", options={"synchronous_commit": "off"})


def _settings(root: Path, keys: SampleKeys, server: Address) -> Settings:
    """Return what a person would have configured for this environment."""
    places = {"local": root / "storage", "offsite": root / "offsite"}
    for folder in places.values():
        folder.mkdir(exist_ok=True, mode=0o700)
    both = tuple(places)
    return Settings(
        home=root,
        catalog_url=SecretStr(f"sqlite:///{root / 'catalog.db'}"),
        databases=tuple(
            DatabaseSettings(
                name=name,
                url=_url(server, name, keys.role_password),
                owner_url=server.with_database(name).url(),
                storages=both,
                schedule=f"0 {STORIES[name].scheduled_at_hour} * * *",
            )
            for name in SCRIPTS
        ),
        storages=tuple(StorageSettings(name=name, url=f"file://{folder}") for name, folder in places.items()),
        recipients=(keys.recipient,),
        encryption_key=keys.encryption_key,
        sample=True,
    )


def _url(server: Address, database: str, password: SecretStr) -> SecretStr:
    address = Address(server.host, server.port, BACKUP_ROLE, password, database, server.params)
    return address.url()


@contextmanager
def _only_one(lock_file: Path) -> Iterator[None]:
    """Let one process at a time in. The lock ends with its process, however that ends."""
    with lock_file.open("a") as file:
        deadline, waiting = monotonic() + SETUP_LIMIT, Event()
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if monotonic() > deadline:
                    raise TimedOut(
                        f"Another process has been making the sample environment for {SETUP_LIMIT:.0f} s.",
                        hint=f"See who holds {lock_file}, end it, and start again.",
                    ) from None
                waiting.wait(0.1)
        yield
