"""What is stored: further copies, and older backups compressed anew."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services import commands
from services.backups.compress_plan import CompressPlan, plan_compress, stored_copies
from services.catalog.model import Run
from services.cli.ages import RequiredAge, age_of
from services.cli.app import app
from services.cli.forms import backup_forms, run_form
from services.cli.many_backups import carry_out_by_database, draw_skipped, end_with, lines_of, skipped_forms
from services.cli.output import instant, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, DatabaseOption, actor, opened
from services.clock import isoformat
from services.units import format_bytes

Apply = Annotated[bool, typer.Option("--apply", help="Do it; otherwise only show what would be done.")]
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


@app.command()
def compress(
    older_than: RequiredAge,
    database: DatabaseOption = None,
    apply: Apply = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Compress older uncompressed and gzip backups with zstd. Without --apply it only shows which.

    The new object is read back to its end before the old one goes. Exit code: 1 when something failed.
    """
    mode = Mode(queue, wait, quiet, as_json)
    with opened(quiet=as_json) as installation:
        plan = plan_compress(installation, older_than=age_of(older_than), database=database)
        if not apply:
            write_json(_form(plan)) if as_json else _draw(plan)
            return
        runs = carry_out_by_database(
            installation,
            plan.backups,
            lambda wishes, queued: commands.submit_compressions(installation, wishes, actor=actor(), queue=queued)[0],
            mode,
        )
    if runs and not any(runs):
        return  # handed to the worker
    _report(plan, [run for run in runs if run is not None], as_json=as_json)


def _draw(plan: CompressPlan) -> None:
    if plan.backups:
        rows = [
            (
                each.backup.name,
                instant(each.backup.finished_at),
                each.backup.compression,
                "yes, new" if each.encrypts else "yes" if each.backup.encryption == "age" else "no",
                format_bytes(sum(copy.bytes for copy in stored_copies(each.backup))),
            )
            for each in plan.backups
        ]
        columns = ["Backup", "Finished (UTC)", "Compression", "Encrypted", "Takes up"]
        stdout().print(table(columns, rows, right=["Takes up"]))
    draw_skipped(plan.skipped)
    many = "1 backup" if len(plan.backups) == 1 else f"{len(plan.backups):,} backups"
    say(f"{many}, {format_bytes(plan.bytes)}, would be compressed with zstd. Nothing was changed; add --apply.")


def _form(plan: CompressPlan) -> dict[str, Any]:
    return {
        "apply": False,
        "bytes": plan.bytes,
        "backups": [
            {
                "backup_id": each.backup.id,
                "backup": each.backup.name,
                "database": each.backup.database,
                "finished_at": isoformat(each.backup.finished_at),
                "compression": each.backup.compression,
                "encrypts": each.encrypts,
                "bytes": sum(copy.bytes for copy in stored_copies(each.backup)),
                "storages": [copy.storage for copy in stored_copies(each.backup)],
            }
            for each in plan.backups
        ],
        "skipped": skipped_forms(plan.skipped),
    }


def _report(plan: CompressPlan, runs: list[Run], *, as_json: bool) -> None:
    if as_json:
        write_json(_form(plan) | {"apply": True, "runs": [run_form(run) for run in runs]})
    else:
        many = len(lines_of(runs, "compressed"))
        before = sum(run.result.get("bytes_before", 0) for run in runs)
        after = sum(run.result.get("bytes_after", 0) for run in runs)
        backups = "1 backup" if many == 1 else f"{many:,} backups"
        say(f"Compressed {backups}: {format_bytes(before)} became {format_bytes(after)}.")
    end_with(runs, quiet=as_json)
