"""Where it is measured: two private servers (source, scratch), a database of a given size, the product's settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from psycopg import sql

from services.postgres.clients import ClientPrograms, find_clients
from services.postgres.connection import Address, connect
from services.postgres.server import SCRATCH_OPTIONS, LocalServer, embedded_bin_dir
from services.stream import generate_key
from services.units import format_bytes

CHUNK_BYTES = 32_000_000
"""What one run of chunk.sql adds to the database, its indexes included (measured on PostgreSQL 15)."""
SEED_CHUNKS = 8
HASHED, COUNTED = "hashed", "counted"
"""The same database twice in the settings: with content hashes in its fingerprint, and with counts alone."""
_OPTIONS = {
    **SCRATCH_OPTIONS,
    "autovacuum": "off",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "256MB",
}
_DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


@dataclass(frozen=True)
class Site:
    """One place to measure in."""

    folder: Path
    source: Address
    """The database that is backed up, as superuser."""
    scratch: Address
    """A server for restores."""
    client: ClientPrograms
    recipient: str
    key_file: Path
    """An age secret key, readable by us only."""

    @property
    def by_hand(self) -> Path:
        """Where the files that are made by hand go."""
        return self.folder / "by-hand"

    def product_environment(self) -> dict[str, str]:
        """Return the environment in which the product finds this site and nothing else."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "BACKUPS_CONFIG": str(self.folder / "backups.toml"), "BACKUPS_HOME": str(self.folder / "home")}


@contextmanager
def open_site(folder: Path, size: int) -> Iterator[Site]:
    """Start two servers under the folder, fill a database of about ``size`` bytes, and remove both afterwards."""
    bin_dir = _DEBIAN_15 if (_DEBIAN_15 / "postgres").exists() else embedded_bin_dir()
    with ExitStack() as stack:
        servers = []
        for name in ("source", "scratch"):
            server = LocalServer(bin_dir, folder / f"server-{name}", options=_OPTIONS)
            stack.callback(server.destroy)
            server.start()
            servers.append(server.address)
        client = next(found for found in find_clients([bin_dir]) if found.bin_dir.samefile(bin_dir))
        secret, public = generate_key()
        key_file = folder / "key.txt"
        key_file.touch(mode=0o600)
        key_file.write_text(f"{secret}\n")
        site = Site(folder, servers[0].with_database("bench"), servers[1], client, public, key_file)
        site.by_hand.mkdir(exist_ok=True)
        _fill(servers[0], site.source, size)
        _write_settings(site, secret)
        yield site


def database_bytes(address: Address) -> int:
    """Return the size of the database."""
    with connect(address) as connection:
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def drop_and_create(server: Address, name: str) -> Address:
    """Return the address of an empty database of that name."""
    with connect(server) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    return server.with_database(name)


def _fill(server: Address, address: Address, size: int) -> None:
    """Fill the database: a seed of at most SEED_CHUNKS different chunks, then the seed again and again."""
    chunks = max(1, round(size / CHUNK_BYTES))
    seed = min(chunks, SEED_CHUNKS)
    print(f"filling a database of some {format_bytes(size)} …", file=sys.stderr, flush=True)
    drop_and_create(server, address.dbname)
    with connect(address) as connection:
        connection.execute((files("services.sample") / "sql" / "prose.sql").read_bytes())
        connection.execute(_script("schema.sql").encode())

    def run(script: str) -> None:
        with connect(address) as connection:
            connection.execute(script.encode())

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        # Composed, not bound: several statements in one string cannot be prepared.
        list(pool.map(run, [_script("chunk.sql") % {"first": chunk * 10_000 + 1} for chunk in range(seed)]))
        run(_script("seed.sql"))
        list(pool.map(run, [_script("repeat.sql")] * (round(chunks / seed) - 1)))
    with connect(address) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(_script("finish.sql").encode())
        connection.execute("CHECKPOINT")


def _script(name: str) -> str:
    return (files("bench") / "sql" / name).read_text(encoding="utf-8")


def _write_settings(site: Site, secret: str) -> None:
    url = site.source.url().get_secret_value()
    databases = "".join(
        f'[[databases]]\nname = "{name}"\nurl = "{url}"\n{extra}\n'
        for name, extra in ((HASHED, ""), (COUNTED, "hash_limit = 0\n"))
    )
    path = site.folder / "backups.toml"
    path.touch(mode=0o600)
    path.write_text(
        f'recipients = ["{site.recipient}"]\nencryption_key = "{secret}"\n'
        f'restore_test_url = "{site.scratch.url().get_secret_value()}"\npg_bin_dirs = ["{site.client.bin_dir}"]\n\n'
        f'[[storages]]\nname = "local"\nurl = "file://{site.folder / "storage"}"\n\n{databases}'
    )
