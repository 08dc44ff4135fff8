"""``backups pitr``: base backups, and restores to a point in time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from services import commands
from services.catalog.model import Backup, Run
from services.cli.backup_commands import DatabaseArgument
from services.cli.copies_in_turn import make_further_copies
from services.cli.forms import backup_forms, run_form
from services.cli.output import say, stdout, table, write_json, write_pairs
from services.cli.pitr_group import pitr
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, actor, chosen_database, opened
from services.clock import isoformat
from services.pitr.base_model import BaseBackup
from services.pitr.point_report import PointReport
from services.pitr.target import EXAMPLES, RecoveryTarget
from services.pitr.wal_names import format_lsn
from services.units import format_bytes, format_duration

To = Annotated[str, typer.Option("--to", metavar="POINT", help=f"{EXAMPLES}.")]
Exclusive = Annotated[bool, typer.Option("--exclusive", help="Stop just before the point, not just after it.")]
Timeline = Annotated[
    int | None, typer.Option(metavar="N", help="Default: the newest timeline on which the point lies.", min=1)
]
Base = Annotated[
    str | None, typer.Option(metavar="BACKUP", help="Name or id of a base backup. Default: the newest that fits.")
]
_FAILED = 2


@pitr.command("base-backup")
def base_backup(
    database: DatabaseArgument = None,
    name: Annotated[str | None, typer.Option(help="Default: DATABASE_base_YYYYMMDD_HHMMSS.")] = None,
    note_text: Annotated[str, typer.Option("--note", help="Why it is taken.")] = "",
    incremental: Annotated[
        bool, typer.Option("--incremental", help="What has changed since the newest one (17+, summarize_wal = on).")
    ] = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Copy the data folder of a database's server: where recovery to a point in time begins."""
    with opened(quiet=as_json) as installation:
        chosen, mode = chosen_database(installation, database), Mode(queue, wait, quiet, as_json)
        run = carry_out(
            installation,
            lambda queued: commands.submit_base_backup(
                installation,
                chosen.name,
                name=name,
                note=note_text,
                incremental=incremental,
                actor=actor(),
                queue=queued,
            ),
            mode,
        )
        if run is None:
            return
        if run.backup_id is not None and run.state == "finished" and not queue and not wait:
            make_further_copies(installation, run.backup_id, mode)
        backup = installation.catalog.backups.get(run.backup_id) if run.backup_id is not None else None
        if as_json:
            listed = None if backup is None else backup_forms(installation, [backup])[0] | _physical(backup)
            write_json({"run": run_form(run), "backup": listed})
        elif backup is not None:
            _draw_base(backup)
        fail_unless_finished(run)


@pitr.command("list")
def list_bases(database: DatabaseArgument = None, as_json: AsJson = False) -> None:
    """List the base backups of a database's server, newest first."""
    with opened(quiet=as_json) as installation:
        chosen = chosen_database(installation, database)
        found = installation.catalog.backups.list(database=chosen.name, type="base", state="finished")
        if as_json:
            forms = backup_forms(installation, found)
            write_json([form | _physical(backup) for form, backup in zip(forms, found, strict=True)])
            return
        if not found:
            say(f"No base backup of {chosen.name}. Take one: backups pitr base-backup {chosen.name}")
            return
        rows = []
        for backup in found:
            base = BaseBackup.of(backup)
            checked = {None: "not yet", True: "passed", False: "FAILED"}[backup.verification_passed]
            stopped = f"{base.stopped_at:%Y-%m-%d %H:%M:%SZ}"
            rows.append((backup.name, stopped, format_bytes(backup.stored_bytes), checked))
        stdout().print(table(["Name", "Restorable from", "Stored", "Check"], rows, right=["Stored"]))


@pitr.command("restore-test")
def restore_test(
    to: To,
    database: DatabaseArgument = None,
    exclusive: Exclusive = False,
    timeline: Timeline = None,
    base: Base = None,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Restore to a point in time on a server of its own, look at what is there, measure it, and remove it.

    Exit code: 0 reached, 2 the base backup is at fault, 1 the point was not reached.
    """
    target = RecoveryTarget.parse(to, inclusive=not exclusive, timeline=timeline)
    with opened(quiet=as_json) as installation:
        chosen = chosen_database(installation, database)
        run = carry_out(
            installation,
            lambda queued: commands.submit_point_test(
                installation, chosen.name, target, base=base, actor=actor(), queue=queued
            ),
            Mode(queue, wait, quiet, as_json),
        )
        if run is None:
            return
        _report(run, as_json=as_json)
        fail_unless_finished(run)
        if run.result["outcome"] == "failed":
            raise typer.Exit(_FAILED)


@pitr.command("restore")
def restore(
    to: To,
    into: Annotated[Path, typer.Option(metavar="FOLDER", help="A new or empty folder for the data; its whole path.")],
    database: DatabaseArgument = None,
    exclusive: Exclusive = False,
    timeline: Timeline = None,
    base: Base = None,
    keep_archiving: Annotated[
        bool, typer.Option("--keep-archiving", help="It takes its source's place at once, and archives as that did.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Restore to a point in time into a folder, promoted and ready to be started. What exists is never touched.

    It archives nothing until you say so: what it prints says how it takes its source's place.
    """
    target = RecoveryTarget.parse(to, inclusive=not exclusive, timeline=timeline)
    with opened(quiet=as_json) as installation:
        chosen = chosen_database(installation, database)
        run = carry_out(
            installation,
            lambda queued: commands.submit_point_restore(
                installation,
                chosen.name,
                target,
                into,
                base=base,
                keep_archiving=keep_archiving,
                actor=actor(),
                reason=reason,
                queue=queued,
            ),
            Mode(queue, wait, quiet, as_json),
        )
        if run is None:
            return
        _report(run, as_json=as_json)
        fail_unless_finished(run)
        if not as_json:
            for number, step in enumerate(run.result["next_steps"], 1):
                say(f"{number}. {step}")


def _report(run: Run, *, as_json: bool) -> None:
    if as_json:
        write_json({"run": run_form(run), "result": run.result})
        return
    if "report" not in run.result:
        if "reason" in run.result:
            say(run.result["reason"])
        return
    report = PointReport.from_json(run.result["report"])
    pairs = [
        ("target", report.target),
        ("reached", f"{report.reached_lsn}; last transaction {report.last_commit_at or 'none'}"),
        ("server", report.stopping or "recovered to the end of the archive"),
        ("from", f"{report.base_name}, {format_bytes(report.base_bytes)}, {report.segments:,} segments of WAL"),
        ("took", f"{format_duration(report.recovery_time)} (fetch {format_duration(report.fetch_seconds)})"),
        ("timeline", str(report.timeline)),
    ]
    if report.into:
        pairs.append(("folder", report.into))
    pairs += [
        (found.name, found.problem or f"{found.tables:,} tables, {found.rows or 0:,} rows counted")
        for found in report.databases
    ]
    write_pairs(pairs)


def _physical(backup: Backup) -> dict[str, Any]:
    return {"physical": backup.physical}


def _draw_base(backup: Backup) -> None:
    base = BaseBackup.of(backup)
    write_pairs(
        [
            ("backup", backup.name),
            ("id", backup.id),
            ("stored", f"{format_bytes(backup.stored_bytes)} at {backup.copies[0].location}"),
            ("server", f"PostgreSQL {backup.server_version}, cluster {base.system_identifier}"),
            ("WAL", f"timeline {base.timeline}, {format_lsn(base.start_lsn)} – {format_lsn(base.stop_lsn)}"),
            ("restorable from", isoformat(base.stopped_at) or ""),
            ("took", format_duration(backup.duration)),
            ("sha256", backup.sha256),
        ]
    )
