"""Cold storage: archive and thaw."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from services import commands
from services.backups.archive_plan import ArchivePlan, plan_archive
from services.backups.thaw_state import title_of
from services.catalog.model import Run
from services.cli.ages import RequiredAge, age_of
from services.cli.app import app
from services.cli.forms import run_form
from services.cli.many_backups import carry_out_by_database, draw_skipped, end_with, lines_of, skipped_forms
from services.cli.output import instant, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, DatabaseOption, StorageOption, actor, opened
from services.cli.storage_commands import Apply, BackupName
from services.clock import isoformat
from services.units import format_bytes


@app.command()
def archive(
    older_than: RequiredAge,
    storage_class: Annotated[
        str | None,
        typer.Option(
            "--class", metavar="CLASS", help="Default: GLACIER on AWS, STANDARD_IA on R2.", show_default=False
        ),
    ] = None,
    database: DatabaseOption = None,
    storage: StorageOption = None,
    apply: Apply = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Move older backups to cold storage, where they lie. Without --apply it only shows what would be moved.

    The newest proven and the newest good backup of a database are never moved. Exit code: 1 when something failed.
    """
    mode = Mode(queue, wait, quiet, as_json)
    with opened(quiet=as_json) as installation:
        age = age_of(older_than)
        plan = plan_archive(
            installation, older_than=age, storage_class=storage_class, database=database, storage=storage
        )
        if not apply:
            write_json(_form(plan)) if as_json else _draw(plan)
            return
        runs = carry_out_by_database(
            installation,
            plan.moves,
            lambda moves, queued: commands.submit_archives(installation, moves, age, actor=actor(), queue=queued)[0],
            mode,
        )
    _report(plan, [run for run in runs if run is not None], as_json=as_json, asked=len(runs))


def _draw(plan: ArchivePlan) -> None:
    if plan.moves:
        rows = [
            (
                move.backup.name,
                move.copy.storage,
                instant(move.backup.finished_at),
                format_bytes(move.copy.bytes),
                f"{title_of(move.copy.storage_class)} → {title_of(move.storage_class)}",
            )
            for move in plan.moves
        ]
        stdout().print(table(["Backup", "Storage", "Finished (UTC)", "Size", "Class"], rows, right=["Size"]))
    draw_skipped(plan.skipped)
    many = "1 copy" if len(plan.moves) == 1 else f"{len(plan.moves):,} copies"
    say(f"{many}, {format_bytes(plan.bytes)}, would be moved. Nothing was changed; add --apply.")


def _form(plan: ArchivePlan) -> dict[str, Any]:
    return {
        "apply": False,
        "bytes": plan.bytes,
        "moves": [
            {
                "backup_id": move.backup.id,
                "backup": move.backup.name,
                "database": move.backup.database,
                "finished_at": isoformat(move.backup.finished_at),
                "storage": move.copy.storage,
                "bytes": move.copy.bytes,
                "from_class": move.copy.storage_class,
                "to_class": move.storage_class,
            }
            for move in plan.moves
        ],
        "skipped": skipped_forms(plan.skipped),
    }


def _report(plan: ArchivePlan, runs: list[Run], *, as_json: bool, asked: int) -> None:
    if asked and not runs:
        return  # handed to the worker
    if as_json:
        write_json(_form(plan) | {"apply": True, "runs": [run_form(run) for run in runs]})
    else:
        moved = len(lines_of(runs, "moved"))
        size = sum(run.result.get("moved_bytes", 0) for run in runs)
        say(f"Moved {moved:,} {'copy' if moved == 1 else 'copies'}, {format_bytes(size)}.")
    end_with(runs, quiet=as_json)


@app.command()
def thaw(
    backup: BackupName,
    days: Annotated[int, typer.Option(min=1, max=365, metavar="N", help="So long it can be read.")] = 7,
    tier: Annotated[
        Literal["Standard", "Bulk", "Expedited"], typer.Option(help="Bulk is cheapest, Expedited fastest.")
    ] = "Standard",
    database: DatabaseOption = None,
    storage: StorageOption = None,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Have a backup in cold storage thawed, so that it can be read for some days; again: see how far that is."""
    with opened(quiet=as_json) as installation:
        chosen = installation.catalog.backups.find(backup, database=database)
        run = carry_out(
            installation,
            lambda queued: commands.submit_thaw(
                installation, chosen.id, storage=storage, days=days, tier=tier, actor=actor(), queue=queued
            ),
            Mode(queue, wait, quiet, as_json),
        )
    if run is None:
        return
    if as_json:
        write_json(run_form(run))
    fail_unless_finished(run)
    if not as_json:
        say(run.result["reason"])
