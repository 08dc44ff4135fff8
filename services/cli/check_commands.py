"""Proving backups: verify and restore-test. Exit codes as for checks: 0 passed, 2 failed, 3 not testable or unknown."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from services import commands
from services.catalog.model import Backup, Run, Verification
from services.cli.app import app
from services.cli.forms import run_form, verification_form
from services.cli.output import note, printable, stdout, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out
from services.cli.session import AsJson, DatabaseOption, StorageOption, WaitForThaw, actor, chosen_backups, opened
from services.errors import InputError
from services.installation import Installation
from services.settings.model import VerificationLevel
from services.units import format_duration

PASSED, FAILED, UNKNOWN = 0, 2, 3
_CODES = {"passed": PASSED, "failed": FAILED, "not testable": UNKNOWN}
_WORST_LAST = (PASSED, UNKNOWN, FAILED)
_STYLES = {"passed": "green", "failed": "bold red", "not testable": "yellow"}

BackupArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[BACKUP]", help="Name or id. Default: the newest good one, of each database.", show_default=False
    ),
]


@app.command()
def verify(
    backup: BackupArgument = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="The newest good one; also what happens without BACKUP.")
    ] = False,
    level: Annotated[
        VerificationLevel, typer.Option(help="How deep: present; every byte; readable to its end; restored.")
    ] = "checksum",
    database: DatabaseOption = None,
    storage: StorageOption = None,
    wait_for_thaw: WaitForThaw = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Check a stored backup. Exit code: 0 passed, 2 failed, 3 not testable or unknown."""
    if latest and backup is not None:
        raise InputError("--latest and a backup's name exclude each other.", hint="Give one of them.")
    _check(backup, level, database, storage, Mode(queue, wait, quiet, as_json), wait_for_thaw=wait_for_thaw)


@app.command("restore-test")
def restore_test(
    backup: BackupArgument = None,
    database: DatabaseOption = None,
    storage: StorageOption = None,
    wait_for_thaw: WaitForThaw = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Restore into a scratch database and compare with the source. Exit code: 0 passed, 2 failed, 3 not testable."""
    _check(backup, "restore", database, storage, Mode(queue, wait, quiet, as_json), wait_for_thaw=wait_for_thaw)


def _check(
    text: str | None,
    level: VerificationLevel,
    database: str | None,
    storage: str | None,
    mode: Mode,
    *,
    wait_for_thaw: bool,
) -> None:
    forms = []
    code = PASSED
    with opened(quiet=mode.as_json) as installation:
        if storage is not None:
            installation.settings.storage(storage)
        for backup in chosen_backups(installation, text, database):
            run = carry_out(
                installation,
                partial(_submit, installation, backup, level, storage, wait_for_thaw),
                mode,
            )
            if run is None:
                continue
            found = _verification_of(installation, run, backup)
            code = max(code, UNKNOWN if found is None else _CODES[found.outcome], key=_WORST_LAST.index)
            if mode.as_json:
                form = None if found is None else verification_form(found, backup)
                forms.append({"run": run_form(run), "verification": form})
            else:
                _draw(run, backup, found)
    if mode.as_json and forms:
        write_json(forms)
    raise typer.Exit(code)


def _submit(
    installation: Installation,
    backup: Backup,
    level: VerificationLevel,
    storage: str | None,
    wait_for_thaw: bool,
    queued: bool,
) -> str:
    return commands.submit_verification(
        installation, backup.id, level, storage=storage, wait_for_thaw=wait_for_thaw, actor=actor(), queue=queued
    )


def _verification_of(installation: Installation, run: Run, backup: Backup) -> Verification | None:
    """Return what the run found; None when it ended without finding out."""
    found = installation.catalog.verifications.list(backup_id=backup.id, run_id=run.id, limit=1)
    return found[0] if found else None


def _draw(run: Run, backup: Backup, found: Verification | None) -> None:
    if found is None:
        note(f"Unknown: {backup.name} could not be checked. {run.error} {run.hint}".rstrip(), style="bold red")
        return
    took = format_duration(found.finished_at - found.started_at)
    line = Text(found.outcome.upper(), style=_STYLES[found.outcome])
    line.append(printable(f"  {backup.name}  {found.level} in {found.storage}, {took}"), style="default")
    stdout().print(line, soft_wrap=True)
    if found.reason:
        stdout().print(Text(printable(f"  {found.reason}")), soft_wrap=True)
