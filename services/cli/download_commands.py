"""A backup's bytes, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services import commands
from services.cli.app import app
from services.cli.output import note, say, write_json
from services.cli.session import AsJson, DatabaseOption, StorageOption, actor, opened
from services.units import format_bytes


@app.command()
def download(
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="A backup, by name or id.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that does not exist yet.")],
    decrypted: Annotated[
        bool, typer.Option("--decrypted", help="Decrypted and decompressed, for pg_restore as it is. For admins.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="What it is for; needed with --decrypted, and kept.")] = "",
    storage: StorageOption = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Write a backup into a file as it is stored, encrypted; compared with what was recorded, and in the audit log."""
    with opened(quiet=as_json) as installation:
        found = installation.catalog.backups.find(backup, database=database)
        size, digest = commands.download_to_file(
            installation, found.id, file, form="plain" if decrypted else "stored", storage=storage, actor=actor(),
            reason=reason,
        )  # fmt: skip
    if as_json:
        write_json({"backup": found.name, "file": str(file), "bytes": size, "sha256": digest})
        return
    say(str(file))
    note(f"{format_bytes(size)}, sha256 {digest}")
    if decrypted:
        note("This file is not encrypted: whoever has it has the data. Delete it when it is no longer needed.")
