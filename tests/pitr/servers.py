"""Real servers that archive their log with our command, as their administrators would set it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from services.pitr.archive import WalArchive
from services.pitr.open import existing_archive, find_archive
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.postgres.server_user import remove_shelter
from services.settings.model import DatabaseSettings, PitrSettings, Settings, StorageSettings
from services.storage.open import open_storage
from services.stream.encryption import generate_key
from tests.pitr.relay import Relay
from tests.support.servers import bin_dir, make_server


@dataclass
class ArchivingServer:
    """A server with ``archive_command`` set; everything that its user must reach lies in ``folder``."""

    server: LocalServer
    folder: Path
    relay: Relay
    settings: Settings

    @property
    def database(self) -> DatabaseSettings:
        return self.settings.databases[0]

    @property
    def storage_root(self) -> Path:
        return Path(self.settings.storages[0].url.removeprefix("file://"))

    def destroy(self) -> None:
        self.server.destroy()
        self.relay.close()
        shutil.rmtree(self.folder)
        remove_shelter(self.folder.parent)

    def archive(self) -> WalArchive:
        storage = open_storage(self.settings.pitr_storage_of(self.database))
        return existing_archive(self.settings, self.database, storage)

    def names(self) -> list[str]:
        archive = find_archive(self.settings, self.database, open_storage(self.settings.storages[0]))
        return [segment.name for segment in archive.segments() if not segment.partial] if archive else []

    def sql(self, statement: str, *values: Any) -> Any:
        """Run one statement and return the first value of its first row."""
        with connect(self.server.address) as connection:
            cursor = connection.execute(statement.encode(), values)
            row = cursor.fetchone() if cursor.description else None
            return None if row is None else row[0]

    def switch(self) -> str:
        """Write a little, end the segment, and return its name."""
        self.sql("CREATE TABLE IF NOT EXISTS ticks (at timestamptz DEFAULT clock_timestamp())")
        self.sql("INSERT INTO ticks DEFAULT VALUES")
        return str(self.sql("SELECT pg_walfile_name(pg_switch_wal())"))


def make_archiving_server(version: int, folder: Path, storage: StorageSettings | None = None) -> ArchivingServer:
    """Return a started server that archives into a local folder, or into ``storage``. Whoever asks destroys it."""
    # it says in which folder the server's user can reach something
    near = LocalServer(bin_dir(version), folder / f"archiving{version}").data_dir.with_suffix(".files")
    near.mkdir(parents=True)
    secret, public = generate_key()
    place = storage or StorageSettings(name="primary", url=f"file://{folder / 'storage'}")
    (folder / "storage").mkdir()
    (folder / "storage" / ".mounted").touch()  # it is new, and no disk that is missing
    relay = Relay(near / "relay", {"BACKUPS_CONFIG": str(write_config(folder, public, place, secret))})
    made = make_server(
        version,
        folder / f"archiving{version}",
        wal_level="replica",
        archive_mode="on",
        archive_command=relay.command("wal-push", "%p"),
    )
    database = DatabaseSettings(
        name="la_factoria", url=made.address.url(), pitr=PitrSettings(enabled=True), schedule="off"
    )
    settings = Settings(
        home=folder / "home",
        catalog_url=SecretStr(f"sqlite:///{folder / 'catalog.db'}"),
        databases=(database,),
        storages=(place,),
        recipients=(public,),
        encryption_key=SecretStr(secret),
    )
    return ArchivingServer(made, near, relay, settings)


def write_config(folder: Path, public: str, storage: StorageSettings, secret: str) -> Path:
    """Write the settings of the command that the server calls."""
    config = folder / "backups.toml"
    lines = [f'recipients = ["{public}"]', f'encryption_key = "{secret}"', "[[databases]]"]
    lines += ['name = "la_factoria"', 'url = "postgresql://nobody@127.0.0.1/postgres"', "[databases.pitr]"]
    lines += ["enabled = true", "[[storages]]", f'name = "{storage.name}"', f'url = "{storage.url}"']
    if not storage.is_local:
        assert storage.secret_access_key is not None
        lines += [f'endpoint_url = "{storage.endpoint_url}"', f'access_key_id = "{storage.access_key_id}"']
        lines += [f'secret_access_key = "{storage.secret_access_key.get_secret_value()}"', 'timeout = "3s"']
    config.write_text("\n".join(lines) + "\n")
    return config


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
