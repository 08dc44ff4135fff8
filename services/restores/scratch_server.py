"""The server on which restore tests are held: the one of the settings, or the embedded one; never the source's own.

The embedded server is started by whoever needs it first and stopped by whoever leaves it last: an idle machine runs no
server. Its users, in all processes, hold a shared lock; the last one finds that it can lock the file alone.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.errors import InputError
from services.installation import Installation
from services.postgres.connection import Address, connect
from services.postgres.server import LocalServer, embedded_bin_dir
from services.restores.same_server import identify, same_server
from services.settings.model import DatabaseSettings

ScratchKind = Literal["restore_test", "embedded"]


@dataclass(frozen=True)
class ScratchServer:
    """A server that a scratch database may be made on."""

    address: Address
    """Of a database that is always there; the scratch database is made from it."""
    kind: ScratchKind
    version: str
    major: int
    data_dir: Path | None = None
    """Of the embedded server, whose disk is ours to look at."""

    @property
    def label(self) -> str:
        """Return how a report names it."""
        address = self.address
        return "embedded" if self.kind == "embedded" else f"{address.user}@{address.host}:{address.port}"


@contextmanager
def scratch_server(installation: Installation, database: str) -> Iterator[ScratchServer]:
    """Given the name of the database under test, yield the server for its scratch database.

    Raise InputError when that is the source's own server and the settings do not allow it, ConnectionFailed when it
    cannot be reached.
    """
    with _address(installation) as (kind, address, data_dir):
        source = _source(installation, database)
        if source is not None and not source.restore_test_on_source_server:
            refuse_source_server(source, address)
        with connect(address) as connection:
            version = connection.info.parameter_status("server_version") or "unknown"
            major = connection.info.server_version // 10000
        yield ScratchServer(address, kind, version.split()[0], major, data_dir)


def refuse_source_server(source: DatabaseSettings, scratch: Address) -> None:
    """Raise InputError when the scratch server is, or may be, the server of the source."""
    why = same_server(identify(Address.parse(source.url.get_secret_value())), identify(scratch))
    if why:
        raise InputError(
            f"A restore test of {source.name} would run on the source's own server: {why}.",
            hint="Set RESTORE_TEST_URL to another server, leave it out to use the embedded one, or allow it with "
            f"restore_test_on_source_server = true for {source.name}.",
        )


def embedded_server(home: Path) -> LocalServer:
    """Return the embedded server for scratch databases, running or not."""
    return LocalServer(embedded_bin_dir(), home / "scratch-server")


@contextmanager
def in_use(server: LocalServer) -> Iterator[Address]:
    """Run the server while the block lasts, and as long as another process or thread uses it too; yield its address."""
    with server.data_dir.with_name(server.data_dir.name + ".users").open("a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            server.start()
            yield server.address
        finally:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody else uses it, and will stop it
            else:
                server.stop()


@contextmanager
def _address(installation: Installation) -> Iterator[tuple[ScratchKind, Address, Path | None]]:
    url = installation.settings.restore_test_url
    if url is not None:
        yield "restore_test", Address.parse(url.get_secret_value()), None
        return
    server = embedded_server(installation.settings.home)
    with in_use(server) as address:
        yield "embedded", address, server.data_dir


def _source(installation: Installation, name: str) -> DatabaseSettings | None:
    """Return the settings of a database; None for one that is no longer under protection and left backups behind."""
    return next((d for d in installation.settings.databases if d.name == name), None)
