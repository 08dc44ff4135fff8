"""What a backup holds: contents."""

from __future__ import annotations

from typing import Annotated

import typer

from services.audit.readings import reading
from services.backups.contents import Contents, HeldTable, read_contents
from services.cli.app import app
from services.cli.output import note, printable, say, stdout, table, write_json
from services.cli.session import AsJson, DatabaseOption, StorageOption, actor, opened
from services.units import format_bytes

_UNKNOWN = "–"


@app.command()
def contents(
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="Name or id.")],
    database: DatabaseOption = None,
    storage: StorageOption = None,
    as_json: AsJson = False,
) -> None:
    """List what a backup holds: tables with rows and sizes, and all other objects. Reads its beginning only."""
    with opened(quiet=as_json) as installation:
        chosen = installation.catalog.backups.find(backup, database=database)
        with reading(installation, actor(), "backup", chosen.name, command="contents"):
            found = read_contents(installation, chosen, storage=storage)
    if as_json:
        write_json(found.to_json())
    else:
        _draw(found)


def _draw(found: Contents) -> None:
    columns = ["Table", "Kind", "Rows", "In the source", "In the backup"]
    rows = [(t.label, _kind(t), _number(t.rows), _size(t.bytes), _size(t.packed_bytes)) for t in found.tables]
    stdout().print(table(columns, rows, right=columns[2:]))
    others = [(kind.lower(), f"{len(names):,}", _some(names)) for kind, names in found.objects.items()]
    if others:
        stdout().print(table(["Other objects", "Number", "Which"], others, right=["Number"]))
    if found.backup.is_partial:
        note(f"Partial: without {printable(', '.join(found.backup.excluded))}.", style="yellow")
    if found.known_from == "archive":
        stored = format_bytes(found.backup.stored_bytes)
        say(f"Read {format_bytes(found.read_bytes)} of {stored}; whether the rest is whole, `backups verify` says.")
    else:
        note(f"Known from the manifest alone: {printable(found.why_not)}", style="yellow")


def _kind(held: HeldTable) -> str:
    return held.kind if held.has_data or held.kind != "table" else "table, no data"


def _number(value: int | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _size(value: int | None) -> str:
    return _UNKNOWN if value is None else format_bytes(value)


def _some(names: tuple[str, ...], most: int = 4) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return printable(", ".join(names[:most]) + more)
