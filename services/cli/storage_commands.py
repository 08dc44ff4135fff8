"""Where backups are stored: further copies."""

from __future__ import annotations

from typing import Annotated

import typer

from services import commands
from services.cli.app import app
from services.cli.forms import backup_forms, run_form
from services.cli.output import say, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, DatabaseOption, actor, opened

BackupName = Annotated[str, typer.Argument(metavar="BACKUP", help="Name or id.")]


@app.command("copy")
def copy_command(
    backup: BackupName,
    to: Annotated[str, typer.Option("--to", metavar="STORAGE", help="Any storage of the settings.")],
    database: DatabaseOption = None,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Copy a backup into another storage, and verify it there. One that is damaged or missing there is made anew."""
    with opened(quiet=as_json) as installation:
        chosen = installation.catalog.backups.find(backup, database=database)
        run = carry_out(
            installation,
            lambda queued: commands.submit_copy(installation, chosen.id, to, actor=actor(), queue=queued),
            Mode(queue, wait, quiet, as_json),
        )
        if run is None:
            return
        after = installation.catalog.backups.get(chosen.id)
        [form] = backup_forms(installation, [after]) if as_json else [{}]
    if as_json:
        write_json({"run": run_form(run), "backup": form})
    fail_unless_finished(run)
    if not as_json:
        say(f"{after.name} is in {to}: {run.result['location']}")
