"""What there is: list, storage."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, cast

import typer
from rich.text import Text

from services.catalog.model import Backup, BackupState, BackupType
from services.cli.app import app
from services.cli.forms import backup_form
from services.cli.output import instant, note, stdout, table, write_json
from services.cli.session import AsJson, DatabaseOption, opened
from services.errors import InputError
from services.installation import Installation
from services.overview import StorageRoom, load_overview
from services.settings.model import parse_duration
from services.units import format_bytes

OlderThan = Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="Older than 12h, 30d, 8w.")]
TypeOption = Annotated[BackupType | None, typer.Option("--type", help="Only this type.")]


@app.command("list")
def list_backups(
    last: Annotated[int | None, typer.Option("--last", min=1, metavar="N", help="The newest N.")] = None,
    older_than: OlderThan = None,
    database: DatabaseOption = None,
    kind: TypeOption = None,
    state: Annotated[
        Literal["finished", "expired", "all"], typer.Option(help="finished: stored; expired: deleted since.")
    ] = "finished",
    as_json: AsJson = False,
) -> None:
    """List backups, the newest first."""
    with opened(quiet=as_json) as installation:
        found = _select(installation, last, older_than, database, kind, state)
        several = database is None and len({backup.database for backup in found}) > 1
    if as_json:
        write_json([backup_form(backup) for backup in found])
    elif found:
        _draw(found, with_database=several)
    else:
        note("No backup matches.")


@app.command()
def storage(as_json: AsJson = False) -> None:
    """Show what each storage holds and what still fits. Exit code: 0, or 1 when a storage cannot be asked."""
    with opened(quiet=as_json) as installation:
        rooms = load_overview(installation).storages
    if as_json:
        write_json([_room_form(room) for room in rooms])
    else:
        rows = [
            (
                room.name,
                room.url,
                f"{room.backups:,}",
                format_bytes(room.used_bytes),
                "–" if room.limit_bytes is None else format_bytes(room.limit_bytes),
                "–" if room.free_bytes is None else format_bytes(room.free_bytes),
            )
            for room in rooms
        ]
        columns = ["Storage", "Address", "Backups", "Used", "Limit", "Free on disk"]
        stdout().print(table(columns, rows, right=columns[2:]))
        for room in rooms:
            if room.problem:
                note(f"{room.name}: {room.problem}", style="bold red")
    raise typer.Exit(1 if any(room.problem for room in rooms) else 0)


def _room_form(room: StorageRoom) -> dict[str, Any]:
    left = None if room.total_bytes is None else max(0, room.total_bytes - room.used_bytes)
    return {
        "name": room.name,
        "url": room.url,
        "backups": room.backups,
        "used_bytes": room.used_bytes,
        "limit_bytes": room.limit_bytes,
        "free_bytes": room.free_bytes,
        "room_bytes": left,
        "problem": room.problem or None,
    }


def _select(
    installation: Installation,
    last: int | None,
    older_than: str | None,
    database: str | None,
    kind: BackupType | None,
    state: Literal["finished", "expired", "all"],
) -> list[Backup]:
    if database is not None:
        installation.settings.database(database)
    until: datetime | None = None
    if older_than is not None:
        until = installation.clock() - age(older_than)
    wanted: BackupState | None = None if state == "all" else state
    return installation.catalog.backups.list(database=database, type=kind, state=wanted, until=until, limit=last)


def age(text: str) -> timedelta:
    """Return an age that a person wrote. Raise InputError."""
    try:
        return cast(timedelta, parse_duration(text))
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no age.", hint="Write a number and a unit: 12h, 30d, 8w.") from error


def _draw(found: list[Backup], *, with_database: bool) -> None:
    columns = ["Backup", "Type", "Finished (UTC)", "Stored", "Verified"]
    rows: list[list[str | Text]] = [
        [
            backup.name + (" (pinned)" if backup.pinned else "") + (" (partial)" if backup.is_partial else ""),
            backup.type if backup.state == "finished" else backup.state,
            instant(backup.finished_at),
            format_bytes(backup.stored_bytes),
            _verified(backup),
        ]
        for backup in found
    ]
    if with_database:
        columns.insert(1, "Database")
        for row, backup in zip(rows, found, strict=True):
            row.insert(1, backup.database)
    stdout().print(table(columns, rows, right=["Stored"]))


def _verified(backup: Backup) -> Text:
    """Say in a word what is known of a backup; *proven* means that a restore test passed and nothing failed since."""
    if backup.trust == "untrusted":
        return Text("untrusted", style="bold red")
    if backup.verification_passed is False:
        return Text(f"FAILED {backup.verification_level}", style="bold red")
    if backup.proven_at is not None:
        return Text("proven", style="bold green")
    if backup.verification_passed is None:
        return Text("no", style="yellow")
    return Text(backup.verification_level or "", style="green")
