"""Migrated catalogues for tests: the migrations run once a process, each catalogue begins as a copy of what they made.

tests/catalog/test_migrations.py runs the migrations themselves.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from weakref import finalize

import sqlalchemy as sa

from services.catalog.catalog import Catalog
from services.jobs.queue import prepare_queue
from services.postgres.clients import choose_client, find_clients
from services.postgres.connection import Address, connect, passfile


def make_catalog(url: str) -> Catalog:
    """Return a migrated catalogue, with the queue's tables; one that is there already stays as it is."""
    parsed = sa.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        place = Path(parsed.database or "")
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_sqlite_file(), place)
    else:
        address = Address.parse(url)
        with connect(address) as connection:
            if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
                connection.execute(_script(address.with_database("postgres")).encode())
    return Catalog(url)


def prepare_home(home: Path) -> None:
    """Make the product's own folder, with a migrated catalogue in it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_catalog(f"sqlite:///{home / 'catalog.db'}").close()


@cache
def _sqlite_file() -> Path:
    """Return the file of a migrated catalogue that nobody has written to."""
    folder = tempfile.mkdtemp(prefix="backups-catalog-")
    finalize(make_catalog, shutil.rmtree, folder, ignore_errors=True)
    place = Path(folder) / "catalog.db"
    _migrated(f"sqlite:///{place}").close()  # the last connection takes the write-ahead log into the file
    return place


@cache
def _script(server: Address) -> str:
    """Return the SQL that makes a migrated catalogue's tables, and what the migrations have put into them."""
    template = server.with_database("catalog_template")
    with connect(server) as connection:
        connection.execute("CREATE DATABASE catalog_template TEMPLATE template0")
    try:
        _migrated(template.url().get_secret_value()).close()
        return _dump(template)
    finally:
        with connect(server) as connection:
            connection.execute("DROP DATABASE catalog_template WITH (FORCE)")


def _dump(address: Address) -> str:
    with connect(address) as connection:
        major = connection.info.server_version // 10_000
    with passfile(address) as file:
        done = subprocess.run(
            [choose_client(find_clients(), major).program("pg_dump"), "--no-owner", "--no-acl", "--inserts"],
            env=address.child_environment(file),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    # Newer programs put commands of psql's around the script.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith("\\"))


def _migrated(url: str) -> Catalog:
    catalog = Catalog(url)
    catalog.migrate()
    prepare_queue(catalog)
    return catalog
