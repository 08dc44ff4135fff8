"""``backups keys``: who can decrypt, rotation, drills, the recovery sheet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from services import commands
from services.catalog.model import Run
from services.cli.app import CommandGroup, app
from services.cli.forms import run_form
from services.cli.many_backups import carry_out_by_database, draw_skipped, end_with, lines_of, skipped_forms
from services.cli.output import instant, note, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait
from services.cli.session import AsJson, DatabaseOption, actor, opened
from services.cli.storage_commands import Apply
from services.clock import isoformat
from services.commands.gate import entered
from services.errors import KeyMismatch
from services.keys.drill import read_identities
from services.keys.holders import KeyReport, load_keys
from services.keys.rotate_plan import RotatePlan, plan_rotation
from services.keys.words import log_words
from services.stream.partial import new_file
from services.units import format_bytes

keys = typer.Typer(
    cls=CommandGroup,
    help="Keys: who can decrypt the backups, rotation, the drill of the offline key, the recovery sheet.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
app.add_typer(keys, name="keys")


@keys.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Show which keys open which backups, whether they are at hand, and when each was last proven."""
    with opened(quiet=as_json) as installation:
        report, log = load_keys(installation), log_words(installation.settings)
    if as_json:
        write_json(_form(report))
        return
    rows = [
        (
            holder.public_key,
            f"{holder.role}{f' ({holder.name})' if holder.name else ''}",
            f"{holder.backups:,}",
            instant(holder.proven_at),
            instant(holder.due_at),
        )
        for holder in report.holders
    ]
    if rows:
        stdout().print(table(["Public key", "Role", "Opens", "Proven (UTC)", "Drill due"], rows, right=["Opens"]))
    if len(report.present) == 1:
        note("There is one recipient: if its secret key is lost, so is every backup. Add an offline recovery key.")
    if log and any(not holder.is_present for holder in report.holders):
        note(log)
    if report.waiting:
        say(f"{report.waiting:,} backups are not encrypted to the present keys yet: `backups keys rotate`.")


def _form(report: KeyReport) -> dict[str, Any]:
    return {
        "keys": [
            {
                "public_key": holder.public_key,
                "name": holder.name,
                "role": holder.role,
                "present": holder.is_present,
                "at_hand": holder.is_at_hand,
                "backups": holder.backups,
                "only_it": holder.only_it,
                "proven_at": isoformat(holder.proven_at),
                "drill_due_at": isoformat(holder.due_at),
            }
            for holder in report.holders
        ],
        "not_rotated": report.waiting,
        "unencrypted": report.unencrypted,
        "drills": [
            {
                "at": isoformat(drill.at),
                "actor": drill.actor,
                "public_key": drill.public_key,
                "backup": drill.backup_name,
                "storage": drill.storage,
                "passed": drill.passed,
                "reason": drill.reason,
            }
            for drill in report.drills
        ],
    }


@keys.command()
def rotate(
    database: DatabaseOption = None,
    apply: Apply = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Encrypt stored backups anew to the present recipients. Without --apply it only shows which.

    The old secret key is needed for it (BACKUP_OLD_ENCRYPTION_KEYS), and a present one to read back what was written.
    What was broken off is gone on with by the next call. Exit code: 1 when something failed.
    """
    with opened(quiet=as_json) as installation:
        plan = plan_rotation(installation, database=database)
        if not apply:
            write_json(_plan_form(plan)) if as_json else _draw(plan, log_words(installation.settings))
            return
        runs = carry_out_by_database(
            installation,
            plan.backups,
            lambda chosen, queued: commands.submit_rotation(installation, chosen, actor=actor(), queue=queued)[0],
            Mode(queue, wait, quiet, as_json),
        )
    done = [run for run in runs if run is not None]
    if runs and not done:
        return  # handed to the worker
    _report(plan, done, as_json=as_json)


def _draw(plan: RotatePlan, log: str) -> None:
    if plan.backups:
        rows = [
            (
                each.backup.name,
                instant(each.backup.finished_at),
                format_bytes(each.backup.stored_bytes),
                ", ".join(f"{key[:12]}…" for key in each.backup.recipients) or "nothing",
            )
            for each in plan.backups
        ]
        stdout().print(table(["Backup", "Finished (UTC)", "Stored", "Encrypted to"], rows, right=["Stored"]))
    draw_skipped(plan.skipped)
    if log and plan.backups:
        note(log)
    many = "1 backup" if len(plan.backups) == 1 else f"{len(plan.backups):,} backups"
    say(f"{many}, {format_bytes(plan.bytes)}, would be encrypted to {', '.join(plan.recipients)}.")
    say(f"{plan.present:,} are already. Nothing was changed; add --apply.")


def _plan_form(plan: RotatePlan) -> dict[str, Any]:
    return {
        "apply": False,
        "recipients": list(plan.recipients),
        "present": plan.present,
        "bytes": plan.bytes,
        "backups": [
            {
                "backup_id": each.backup.id,
                "backup": each.backup.name,
                "database": each.backup.database,
                "recipients": list(each.backup.recipients),
                "stored_bytes": each.backup.stored_bytes,
            }
            for each in plan.backups
        ],
        "skipped": skipped_forms(plan.skipped),
    }


def _report(plan: RotatePlan, runs: list[Run], *, as_json: bool) -> None:
    if as_json:
        write_json(_plan_form(plan) | {"apply": True, "runs": [run_form(run) for run in runs]})
    else:
        many = len(lines_of(runs, "rotated"))
        size = sum(run.result.get("rotated_bytes", 0) for run in runs)
        say(f"Encrypted {many:,} {'backup' if many == 1 else 'backups'} anew, {format_bytes(size)}.")
    end_with(runs, quiet=as_json)


@keys.command()
def drill(
    identity: Annotated[Path, typer.Option("--identity", "-i", metavar="FILE", help="The secret key to be proven.")],
    backup: Annotated[str | None, typer.Option("--backup", metavar="BACKUP", help="Default: the newest one.")] = None,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Prove that a key that is kept elsewhere still opens the backups; that it was done is recorded, the key is not.

    A text is sealed to it and opened, and the beginning of a stored backup is decrypted. Exit code: 1 when it fails.
    """
    with opened(quiet=as_json) as installation:
        secrets = read_identities(identity)
        chosen = installation.catalog.backups.find(backup, database=database) if backup else None
        held = commands.hold_key_drill(installation, secrets, backup=chosen, actor=actor())
    if as_json:
        told = {name: getattr(held, name) for name in ("public_key", "passed", "storage", "reason")}
        write_json(told | {"backup": held.backup_name, "at": isoformat(held.at)})
    if not held.passed:
        raise KeyMismatch(held.reason, hint="Look for the right key now, while nothing is lost: `backups keys list`.")
    if not as_json:
        say(f"{held.public_key}: {held.reason}")


@keys.command()
def sheet(
    form: Annotated[Literal["txt", "pdf"], typer.Option("--format", help="txt, or pdf to a file.")] = "txt",
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A new file.")] = None,
) -> None:
    """Make the recovery sheet: programs, addresses and commands, for the day when nothing else is left. No secrets."""
    from services.keys.sheet import export_sheet

    asked = {"file": f"recovery-sheet.{form}"}
    with (
        opened(quiet=True) as installation,
        entered(installation, "export", actor=actor(), command="keys sheet", arguments=asked),
    ):
        made = export_sheet(installation, form)
    if output is not None:
        with new_file(output) as file:
            file.write(made)
        say(str(output))
    elif form == "pdf":
        sys.stdout.buffer.write(made)
    else:
        sys.stdout.write(made.decode())
