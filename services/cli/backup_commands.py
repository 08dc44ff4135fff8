"""Taking backups: create, adopt, preflight."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from services import commands
from services.backups.request import BackupRequest, check_jobs
from services.catalog.model import Backup, Copy, Run
from services.cli.app import app
from services.cli.copies_in_turn import make_further_copies
from services.cli.forms import backup_forms, run_form
from services.cli.output import note, printable, say, stdout, table, write_json, write_pairs
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, DatabaseOption, actor, chosen_database, opened
from services.errors import UnknownName
from services.installation import Installation
from services.preflight import Check, Preflight, preflight
from services.units import format_bytes, format_duration

DatabaseArgument = Annotated[
    str | None, typer.Argument(metavar="[DATABASE]", help="May be left out when there is only one.", show_default=False)
]
ExcludeTables = Annotated[
    list[str] | None,
    typer.Option("--exclude-table", metavar="PATTERN", help="As pg_dump reads it; may be given more than once."),
]
ExcludeTableData = Annotated[
    list[str] | None,
    typer.Option("--exclude-table-data", metavar="PATTERN", help="Leave out the rows of these tables; as above."),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", metavar="N", show_default=False,
        help="Sessions that dump at once: 1 streams, 2 to 16 spool. Default: as the settings say.",
    ),
]  # fmt: skip
_STYLES = {"ok": "green", "warning": "yellow", "blocking": "bold red"}


@app.command()
def create(
    database: DatabaseArgument = None,
    name: Annotated[str | None, typer.Option(help="Default: DATABASE_backup_YYYYMMDD_HHMMSS.")] = None,
    note_text: Annotated[str, typer.Option("--note", help="Why this backup is taken.")] = "",
    compression_level: Annotated[int | None, typer.Option(min=1, max=19, help="Of zstd.")] = None,
    encrypt: Annotated[
        bool | None, typer.Option("--encrypt/--no-encrypt", help="Default: as the settings say.", show_default=False)
    ] = None,
    jobs: Jobs = None,
    exclude_table: ExcludeTables = None,
    exclude_table_data: ExcludeTableData = None,
    pin: Annotated[bool, typer.Option("--pin", help="Keep it, whatever the retention policy says.")] = False,
    force: Annotated[
        str, typer.Option("--force", metavar="REASON", help="Pass over blocking pre-checks; the reason is recorded.")
    ] = "",
    once: Annotated[
        str | None, typer.Option("--once", metavar="KEY", help="Start nothing when this key was used before.")
    ] = None,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Back up a database, and verify what was stored."""
    with opened(quiet=as_json) as installation:
        request = BackupRequest(
            database=chosen_database(installation, database).name,
            name=name,
            note=note_text,
            compression_level=compression_level,
            encrypt=encrypt,
            exclude_tables=tuple(exclude_table or ()),
            exclude_table_data=tuple(exclude_table_data or ()),
            jobs=jobs,
            pin=pin,
            force_reason=force,
        )
        mode = Mode(queue, wait, quiet, as_json)
        run = carry_out(
            installation,
            lambda queued: commands.submit_backup(
                installation, request, actor=actor(), reason=force, idempotency_key=once, queue=queued
            ),
            mode,
        )
        if run is not None:
            report_backup(installation, run, mode)


@app.command()
def adopt(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pg_dump archive, also compressed or encrypted.")],
    database: DatabaseOption = None,
    name: Annotated[str | None, typer.Option(help="Default: DATABASE_backup_YYYYMMDD_HHMMSS.")] = None,
    note_text: Annotated[str, typer.Option("--note", help="Where it comes from.")] = "",
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Take in a dump that was made elsewhere: check it, store it and list it as a backup."""
    with opened(quiet=as_json) as installation:
        chosen = chosen_database(installation, database)
        mode = Mode(queue, wait, quiet, as_json)
        run = carry_out(
            installation,
            lambda queued: commands.submit_adopt(
                installation, file.absolute(), chosen.name, name=name, note=note_text, actor=actor(), queue=queued
            ),
            mode,
        )
        if run is not None:
            report_backup(installation, run, mode)


def report_backup(installation: Installation, run: Run, mode: Mode) -> None:
    """Say what a run made, after its further copies; raise what stopped it."""
    backup = None
    if run.backup_id is not None:
        if run.state == "finished" and not mode.queue and not mode.wait:
            make_further_copies(installation, run.backup_id, mode)
        try:
            backup = installation.catalog.backups.get(run.backup_id)
        except UnknownName:  # the run failed before there was one
            backup = None
    if mode.as_json:
        write_json(
            {"run": run_form(run), "backup": None if backup is None else backup_forms(installation, [backup])[0]}
        )
    elif backup is not None:  # also when its own verification failed: it is stored, and listed as such
        write_pairs(
            [
                ("backup", backup.name),
                ("id", backup.id),
                ("stored", f"{format_bytes(backup.stored_bytes)} at {', '.join(_where(c) for c in backup.copies)}"),
                ("database", f"{format_bytes(backup.database_bytes)}, PostgreSQL {backup.server_version}"),
                ("took", format_duration(backup.duration)),
                ("sha256", backup.sha256),
                ("verified", _checked(backup)),
            ]
        )
        if backup.is_partial:
            note(f"Partial: without {', '.join(backup.excluded)}. It does not count as a whole backup.", style="yellow")
    fail_unless_finished(run)


def _where(copy: Copy) -> str:
    """Say where a copy is, and how it stands unless it is there."""
    return copy.location if copy.state == "stored" else f"{copy.location} ({copy.state.upper()})"


def _checked(backup: Backup) -> str:
    """Say how deep the latest verification went, and how it ended."""
    if backup.verification_level is None:
        return "no"
    return f"{backup.verification_level}: {'passed' if backup.verification_passed else 'FAILED'}"


@app.command("preflight")
def preflight_command(
    database: DatabaseArgument = None,
    jobs: Jobs = None,
    exclude_table: ExcludeTables = None,
    exclude_table_data: ExcludeTableData = None,
    as_json: AsJson = False,
) -> None:
    """Check whether a backup would work now. Exit code: 0 yes, 1 with warnings, 2 something stands in its way."""
    with opened(quiet=as_json) as installation:
        found = preflight(
            installation,
            chosen_database(installation, database),
            exclude_tables=tuple(exclude_table or ()),
            exclude_table_data=tuple(exclude_table_data or ()),
            jobs=check_jobs(jobs),
        )
    if as_json:
        write_json(_preflight_form(found))
    else:
        _draw_preflight(found)
    severities = {check.severity for check in found.checks}
    raise typer.Exit(2 if "blocking" in severities else 1 if "warning" in severities else 0)


def _preflight_form(found: Preflight) -> dict[str, Any]:
    return {
        "database_bytes": found.database_bytes,
        "expected_bytes": found.expected_bytes,
        "expected_seconds": found.expected_seconds,
        "method": None if found.method is None else asdict(found.method),
        "checks": [
            {
                "name": check.name,
                "severity": check.severity,
                "message": check.message,
                "hint": check.hint,
                "detail": list(check.detail),
            }
            for check in found.checks
        ],
    }


def _draw_preflight(found: Preflight) -> None:
    drawn = table(["Check", "", "Finding"], [])
    for check in found.checks:
        drawn.add_row(printable(check.name), check.severity, printable(_finding(check)), style=_STYLES[check.severity])
        for line in check.detail:
            drawn.add_row("", "", printable(line))
    stdout().print(drawn)
    expected = []
    if found.expected_bytes is not None:
        expected.append(format_bytes(found.expected_bytes))
    if found.expected_seconds is not None:
        expected.append(format_duration(found.expected_seconds))
    if expected:
        say(f"Expected backup: {' in '.join(expected)}.")


def _finding(check: Check) -> str:
    return check.message if check.severity == "ok" else f"{check.message} {check.hint}".strip()
