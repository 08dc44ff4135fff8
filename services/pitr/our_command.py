"""The ``archive_command`` that works as it stands, as far as that can be told from here."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.postgres.connection import Address
from services.settings.model import DatabaseSettings, Settings

OUR_COMMAND = "pitr wal-push"
EXAMPLE_CONFIG = "/etc/backups.toml"
EXAMPLE_PROGRAM = "/usr/local/bin/backups"
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class OurCommand:
    """What a server is to call for each segment."""

    text: str
    """The program's full path, its settings and ``%p``: the server has no PATH, folder or environment of ours."""
    to_replace: str
    """What in it is to be replaced before it works, and by what; empty when it works on this machine."""


def our_command(
    settings: Settings, database: DatabaseSettings, address: Address, environ: Mapping[str, str] = os.environ
) -> OurCommand:
    """Given the environment of this process, return the command for the server at ``address``."""
    program, config = _program(), environ.get("BACKUPS_CONFIG")
    where = str(Path(config).absolute()) if config else EXAMPLE_CONFIG
    words = ["env", f"BACKUPS_CONFIG={where}", program or EXAMPLE_PROGRAM, *OUR_COMMAND.split()]
    if len(settings.databases) > 1:
        words += ["--database", database.name]
    text = shlex.join(words).replace("%", "%%") + " %p"
    replace = []
    if not config:
        replace.append(
            f"{EXAMPLE_CONFIG} by a file with these settings (they come from environment variables here, which the "
            "server has not)"
        )
    elif not _is_here(address):
        replace.append(f"{where} by the settings' path on the server's host")
    if program is None or not _is_here(address):
        replace.append(f"{program or EXAMPLE_PROGRAM} by the path of `backups` on the server's host")
    return OurCommand(text, f"Replace {', and '.join(replace)}." if replace else "")


def _program() -> str | None:
    beside = Path(sys.executable).absolute().parent / "backups"
    return str(beside) if beside.exists() else shutil.which("backups")


def _is_here(address: Address) -> bool:
    return address.host.startswith("/") or address.host in _THIS_MACHINE
