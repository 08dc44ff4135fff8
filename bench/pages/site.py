"""Where pages are measured: a large catalogue, a source server for the pre-checks, and served dashboards."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import psutil
from psycopg import sql

from bench.by_hand import ContestantFailed
from bench.pages.catalogue import Plan, fill_catalogue
from bench.pages.log import SYSTEM_IDENTIFIER, write_archive
from services.catalog.catalog import Catalog
from services.postgres.connection import connect
from services.postgres.server import LocalServer
from services.serve import SERVER, dashboard_command, wait_until_served
from services.stream import generate_key

Engine = Literal["sqlite", "postgresql"]
ADDRESS = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]
BLANK = Path(__file__).with_name("blank.py")
_LIMITS = {"local": "40TB", "offsite": "60TB"}


@dataclass(frozen=True)
class Installed:
    """An installation on a large catalogue."""

    engine: Engine
    environ: Mapping[str, str]
    rows: Mapping[str, int]
    """Table -> rows in it."""
    seconds: float
    """What filling the catalogue took."""


@dataclass(frozen=True)
class Served:
    """A running dashboard."""

    address: str
    """``host:port``"""
    process: psutil.Process


def install(folder: Path, server: LocalServer, engine: Engine, plan: Plan) -> Installed:
    """Write settings for the plan's databases, all of them on the server, and fill a catalogue of that engine."""
    home = folder / engine
    home.mkdir()
    if engine == "sqlite":
        url = f"sqlite:///{home / 'catalog.db'}"
    else:
        with connect(server.address) as connection:
            name = f"catalog_{time.monotonic_ns()}"
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = server.address.with_database(name).url().get_secret_value()
    begun = time.perf_counter()
    catalog = Catalog(url)
    catalog.migrate()
    rows = fill_catalogue(catalog, plan)
    catalog.close()
    seconds = time.perf_counter() - begun
    config = home / "backups.toml"
    config.touch(mode=0o600)
    config.write_text(_settings(home, server, url, plan))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    write_archive(home / plan.storages[0], plan.with_log)
    return Installed(engine, {**kept, "BACKUPS_CONFIG": str(config), "BACKUPS_HOME": str(home)}, rows, seconds)


@contextmanager
def served(environ: Mapping[str, str], *, blank: bool = False) -> Iterator[Served]:
    """Serve the dashboard as `backups serve` does, or a blank page in the same way, and end it afterwards."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port = probe.getsockname()[1]
    command = dashboard_command(ADDRESS, port, BLANK if blank else SERVER)
    process = _start(command, environ)
    try:
        wait_until_served(ADDRESS, port, seconds=120, ended=lambda: process.poll() is not None)
        if process.poll() is not None:
            raise ContestantFailed("The dashboard ended before it answered; what it wrote above says why.")
        yield Served(f"{ADDRESS}:{port}", psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=dict(environ), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _settings(home: Path, server: LocalServer, catalog_url: str, plan: Plan) -> str:
    secret, public = generate_key()
    source = server.address.url().get_secret_value()
    lines = [f'catalog_url = "{catalog_url}"', f'recipients = ["{public}"]', f'encryption_key = "{secret}"']
    for name in plan.storages:
        (home / name).mkdir()
        lines += [
            "[[storages]]",
            f'name = "{name}"',
            f'url = "file://{home / name}"',
            f'limit_bytes = "{_LIMITS[name]}"',
        ]
    for name in plan.names:
        lines += ["[[databases]]", f'name = "{name}"', f'url = "{source}"', 'storages = ["local", "offsite"]']
        if name == plan.with_log:
            lines.append(f'pitr = {{ enabled = true, system_identifier = "{SYSTEM_IDENTIFIER}" }}')
    return "\n".join(lines) + "\n"


def full_plan(now: datetime | None = None) -> Plan:
    """Return the plan that the goals speak of: 20 databases, five years, 100,000 backups."""
    return Plan(now or datetime.now(UTC).replace(microsecond=0))
