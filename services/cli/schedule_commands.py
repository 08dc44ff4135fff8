"""When what comes due: schedule list, show, set, pause, resume and run; and pick, which chooses what to test."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import typer
from rich.text import Text

from services import commands
from services.cli.app import CommandGroup, app
from services.cli.forms import run_form, seconds
from services.cli.output import instant, note, say, stdout, table, write_json, write_pairs
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, DatabaseOption, actor, opened
from services.clock import isoformat
from services.commands.schedules import parse_deadline
from services.errors import InputError
from services.restores.pick import Pick, parse_month, pick_backup
from services.schedules.cron import cron_in_words
from services.schedules.model import ScheduleVersion
from services.schedules.overview import ScheduleRow, load_schedule, load_schedules
from services.status import age

schedule = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="When what comes due; see docs/schedules.md.")
app.add_typer(schedule, name="schedule")

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="As `schedule list` shows it: la_factoria/backup.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]
_CODES = {"failed": 2, "not testable": 3}
_STYLES = {
    "satisfied": "green", "finished": "green", "passed": "green", "late": "yellow", "missed": "bold red",
    "failed": "bold red", "lost": "bold red",
}  # fmt: skip


@schedule.command("list")
def list_schedules(as_json: AsJson = False) -> None:
    """List the schedules: when each comes due next, and how its last slot ended."""
    with opened(quiet=as_json) as installation:
        view = load_schedules(installation)
    if as_json:
        write_json([_row_form(row) for row in view.rows])
        return
    drawn = table(["Schedule", "When", "Next due (UTC)", "Last slot (UTC)", ""], [], whole=["Schedule"])
    for row in view.rows:
        last = "–" if row.last is None else instant(row.last.due)
        drawn.add_row(Text(row.schedule), Text(_when(row)), Text(_next(row)), Text(last), _outcome(row))
    stdout().print(drawn)
    if view.not_in_force:
        note("Nothing is scheduled yet: the settings take effect when a worker starts (backups serve, backups worker).")


@schedule.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one schedule: its next five due times, its last slot, and every version with who made it and why."""
    with opened(quiet=as_json) as installation:
        row = load_schedule(installation, name)
    if as_json:
        write_json(_row_form(row) | {"versions": [_version_form(version) for version in row.versions]})
        return
    rows = [
        ("schedule", row.schedule),
        ("when", _when(row)),
        ("deadline", age(row.version.deadline)),
        ("next due", ", ".join(instant(due) for due in row.next_due) or "–"),
    ]
    if row.last is not None:
        rows.append(("last slot", f"{instant(row.last.due)}: {row.last.words}"))
    write_pairs(rows)
    columns = ["From (UTC)", "When", "By", "Reason"]
    versions = [
        (
            instant(v.valid_from),
            cron_in_words(v.cron, v.time_zone) + (", paused" if v.paused else ""),
            v.actor,
            v.reason,
        )
        for v in reversed(row.versions)
    ]
    stdout().print(table(columns, versions, whole=["From (UTC)"]))


@schedule.command("set")
def set_(
    name: Name,
    cron: Annotated[str | None, typer.Option(metavar="LINE", help="Five fields, '0 2 * * *'; off: never.")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="UTC, Europe/Berlin, …")] = None,
    deadline: Annotated[str | None, typer.Option(metavar="LENGTH", help="4h, 90min.")] = None,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Change when a schedule comes due, from now on. It stays so until the settings change that same thing."""
    if cron is None and time_zone is None and deadline is None:
        raise InputError("Nothing to change was given.", hint="Give --cron, --time-zone or --deadline.")
    if cron is not None and not cron.strip():
        raise InputError("The cron line is empty.", hint="Write `off` to switch the schedule off.")
    with opened(quiet=as_json) as installation:
        limit = None if deadline is None else parse_deadline(deadline)
        version = commands.set_schedule(
            installation, name, cron=cron, time_zone=time_zone, deadline=limit, actor=actor(), reason=reason
        )
        row = load_schedule(installation, name)
    _report(version, row, as_json=as_json)


@schedule.command()
def pause(name: Name, reason: Reason = "", as_json: AsJson = False) -> None:
    """Keep a schedule from coming due. Paused times have no slots, so nothing is missed in them."""
    with opened(quiet=as_json) as installation:
        version = commands.pause_schedule(installation, name, actor=actor(), reason=reason)
        row = load_schedule(installation, name)
    _report(version, row, as_json=as_json)


@schedule.command()
def resume(name: Name, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let a paused schedule come due again. What was due before the pause is not made up for."""
    with opened(quiet=as_json) as installation:
        version = commands.resume_schedule(installation, name, actor=actor(), reason=reason)
        row = load_schedule(installation, name)
    _report(version, row, as_json=as_json)


@schedule.command("run")
def run_now(
    name: Name,
    reason: Reason = "",
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Do a schedule's job now, also while it is paused or off."""
    with opened(quiet=as_json) as installation:
        run = carry_out(
            installation,
            lambda queued: commands.run_schedule(installation, name, actor=actor(), reason=reason, queue=queued),
            Mode(queue, wait, quiet, as_json),
        )
    if run is None:
        return
    outcome = str(run.result.get("outcome", run.state))
    if as_json:
        write_json(run_form(run))
    else:
        say(f"{run.kind.replace('_', ' ').capitalize()} of {run.database or 'everything'}: {outcome}")
    fail_unless_finished(run)
    raise typer.Exit(_CODES.get(outcome, 0))


@app.command()
def pick(
    month: Annotated[str, typer.Option(metavar="MONTH", help="last, this or 2026-10.")] = "last",
    database: DatabaseOption = None,
    seed: Annotated[str | None, typer.Option(help="The same text gives the same choice.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Choose a random good backup of a month for a restore test, preferring those that were never tested.

    One name a line for each database: backups restore-test "$(backups pick --month last)"
    """
    with opened(quiet=as_json) as installation:
        settings = installation.settings
        chosen = [settings.database(database)] if database is not None else list(settings.databases)
        first = parse_month(month, installation.clock())
        picks = [
            pick_backup(installation, each.name, month=first, seed=seed or secrets.token_hex(8)) for each in chosen
        ]
    if as_json:
        write_json([_pick_form(each) for each in picks])
        return
    for each in picks:
        say(each.name)
        if each.remark:
            note(f"{each.database}: {each.remark}", style="yellow")
        elif database is None:  # on standard error: the names alone are what `$(backups pick)` is given
            many = "1 good backup" if each.candidates == 1 else f"{each.candidates:,} good backups"
            note(f"{each.database}: one of {many} of {each.month:%B %Y}.")


def _pick_form(found: Pick) -> dict[str, Any]:
    return {
        "database": found.database,
        "id": found.backup_id,
        "name": found.name,
        "snapshot_at": isoformat(found.snapshot_at),
        "month": f"{found.month:%Y-%m}",
        "candidates": found.candidates,
        "remark": found.remark,
    }


def _report(version: ScheduleVersion, row: ScheduleRow, *, as_json: bool) -> None:
    if as_json:
        write_json(_version_form(version))
    else:
        say(f"{row.schedule}: {_when(row)}; next due (UTC): {_next(row)}")


def _when(row: ScheduleRow) -> str:
    return row.when + _paused(row.version)


def _paused(version: ScheduleVersion) -> str:
    return ", paused" if version.paused and version.cron else ""


def _next(row: ScheduleRow) -> str:
    return instant(row.next_due[0]) if row.next_due else "–"


def _outcome(row: ScheduleRow) -> Text:
    if row.last is None:
        return Text("")
    return Text(row.last.state, style=_STYLES.get(row.last.state, ""))


def _row_form(row: ScheduleRow) -> dict[str, Any]:
    return _version_form(row.version) | {
        "in_force": row.in_force,
        "next_due": [isoformat(due) for due in row.next_due],
        "last_slot": None
        if row.last is None
        else {
            "due": isoformat(row.last.due),
            "deadline_at": isoformat(row.last.deadline_at),
            "state": row.last.state,
            "cause": row.last.cause,
            "run_id": row.last.run_id,
        },
    }


def _version_form(version: ScheduleVersion) -> dict[str, Any]:
    return {
        "schedule": version.schedule,
        "version": version.number,
        "database": version.database,
        "job": version.job,
        "cron": version.cron,
        "time_zone": version.time_zone,
        "deadline_seconds": seconds(version.deadline),
        "paused": version.paused,
        "valid_from": isoformat(version.valid_from),
        "source": version.source,
        "actor": version.actor,
        "reason": version.reason,
    }
