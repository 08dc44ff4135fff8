"""Server programs: a data folder runs only under the major version that made it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from services.errors import ClientProgramMissing
from services.postgres.clients import program_folders, program_version


@dataclass(frozen=True)
class ServerPrograms:
    """The server of one PostgreSQL installation."""

    bin_dir: Path
    version: str
    major: int


def find_servers(extra_dirs: Sequence[Path] = ()) -> list[ServerPrograms]:
    """Return the installations that have ``postgres``; those in ``extra_dirs`` come first. Looked up once a process."""
    return list(_find_servers(tuple(Path(d) for d in extra_dirs), os.environ.get("PATH", os.defpath)))


def choose_server(servers: Sequence[ServerPrograms], major: int) -> ServerPrograms:
    """Return the first server of exactly this major version. Raise ClientProgramMissing naming what there is."""
    for server in servers:
        if server.major == major:
            return server
    there = ", ".join(f"{server.version} in {server.bin_dir}" for server in servers) or "none"
    raise ClientProgramMissing(
        f"No server of PostgreSQL {major} is installed here: found {there}. A data folder of version {major} runs "
        "under no other major version.",
        hint=f"Install it (Debian: postgresql-{major}), or name the folder of its programs in pg_bin_dirs.",
    )


@lru_cache(maxsize=16)
def _find_servers(extra_dirs: tuple[Path, ...], search_path: str) -> tuple[ServerPrograms, ...]:
    found: dict[Path, ServerPrograms] = {}
    for folder in (*extra_dirs, *program_folders(search_path)):
        program = shutil.which("postgres", path=str(folder))
        if program is None:
            continue
        binary = Path(program).resolve()
        version = program_version(binary)
        if version is not None:
            found.setdefault(binary.parent, ServerPrograms(binary.parent, *version))
    return tuple(found.values())
