"""What there is: list."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import typer
from rich.text import Text

from services.catalog.model import Backup, BackupState, BackupType
from services.cli.ages import age_of
from services.cli.app import app
from services.cli.forms import backup_forms
from services.cli.output import instant, note, stdout, table, write_json
from services.cli.session import AsJson, DatabaseOption, opened
from services.clock import utc_now
from services.installation import Installation
from services.units import format_bytes

OlderThan = Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="Older than 12h, 30d, 8w.")]
StateChoice = Literal["stored", "finished", "deleting", "expired", "all"]
TypeOption = Annotated[BackupType | None, typer.Option("--type", help="Only this type.")]


@app.command("list")
def list_backups(
    last: Annotated[int | None, typer.Option("--last", min=1, metavar="N", help="The newest N.")] = None,
    older_than: OlderThan = None,
    database: DatabaseOption = None,
    kind: TypeOption = None,
    state: Annotated[
        StateChoice,
        typer.Option(help="stored: finished or half deleted; expired: deleted since."),
    ] = "stored",
    as_json: AsJson = False,
) -> None:
    """List backups, the newest first."""
    with opened(quiet=as_json) as installation:
        found = _select(installation, last, older_than, database, kind, state)
        several = database is None and len({backup.database for backup in found}) > 1
        forms = backup_forms(installation, found) if as_json else []
    if as_json:
        write_json(forms)
    elif found:
        _draw(found, with_database=several)
    else:
        note("No backup matches.")


def _select(
    installation: Installation,
    last: int | None,
    older_than: str | None,
    database: str | None,
    kind: BackupType | None,
    state: StateChoice,
) -> list[Backup]:
    if database is not None:
        installation.settings.database(database)
    until: datetime | None = None
    if older_than is not None:
        until = installation.clock() - age_of(older_than)
    listed = installation.catalog.backups.list
    if state == "stored":  # its newest N are among the newest N of either state
        found = [
            backup
            for one in ("finished", "deleting")
            for backup in listed(database=database, type=kind, state=one, until=until, limit=last)
        ]
        return sorted(found, key=lambda backup: (backup.finished_at, backup.id), reverse=True)[:last]
    wanted: BackupState | None = None if state == "all" else state
    return listed(database=database, type=kind, state=wanted, until=until, limit=last)


def _draw(found: list[Backup], *, with_database: bool) -> None:
    columns = ["Backup", "Type", "Finished (UTC)", "Stored", "Verified"]
    rows: list[list[str | Text]] = [
        [
            backup.name + _remarks(backup),
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


def _remarks(backup: Backup) -> str:
    remarks = {
        "pinned": backup.pinned,
        "partial": backup.is_partial,
        "locked": any(copy.is_locked(utc_now()) for copy in backup.copies),
        "deletion failed": any(copy.deletion_failed_at for copy in backup.copies),
    }
    return "".join(f" ({remark})" for remark, holds in remarks.items() if holds)


def _verified(backup: Backup) -> Text:
    """Say in a word what is known of a backup; *proven* means that a restore test passed and nothing failed since."""
    if backup.trust == "untrusted":
        return Text("untrusted", style="bold red")
    if backup.verification_passed is False:
        return Text(f"FAILED {backup.verification_level}", style="bold red")
    if backup.is_unknown:
        return Text("unknown", style="yellow")
    if backup.proven_at is not None and backup.is_partial:
        return Text("partial: what it holds restores", style="yellow")
    if backup.is_proven:
        return Text("proven", style="bold green")
    if backup.verification_passed is None:
        return Text("no", style="yellow")
    return Text(backup.verification_level or "", style="green")
