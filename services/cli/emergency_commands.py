"""The hard day: an emergency backup, and read-only mode seen and released."""

from __future__ import annotations

import sys
from typing import Annotated, Any, cast

import typer
from rich.text import Text

from services import commands
from services.catalog.read_only_modes import ReadOnlyMode
from services.cli.app import CommandGroup, app
from services.cli.backup_commands import DatabaseArgument, Jobs, report_backup
from services.cli.output import instant, note, printable, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out
from services.cli.session import AsJson, actor, chosen_database, opened
from services.clock import isoformat
from services.emergency.plan import EmergencyPlan, make_plan
from services.emergency.request import WAIT, EmergencyRequest, Sessions, check_request
from services.emergency.words import after_release
from services.errors import Blocked, InputError
from services.settings.lengths import parse_duration
from services.units import format_duration

read_only = typer.Typer(
    cls=CommandGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
app.add_typer(read_only, name="read-only", help="See which databases are held in read-only mode, and release one.")

_STYLES = {"warning": "yellow", "blocking": "bold red"}


@app.command()
def emergency(
    database: DatabaseArgument = None,
    reason: Annotated[str, typer.Option("--reason", "-r", help="What happened. Recorded with the backup.")] = "",
    read_only_mode: Annotated[
        bool, typer.Option("--read-only/--no-read-only", help="Stop writes while the backup is made.")
    ] = True,
    sessions: Annotated[
        str, typer.Option(help="Those that could go on writing: end, wait (then end), or wait-or-stop.")
    ] = "end",
    wait_for: Annotated[str, typer.Option("--wait-for", help="How long sessions are waited for.")] = "1min",
    limit: Annotated[
        str | None,
        typer.Option(help="When read-only mode is released whatever happens. Default: read_only_limit, 30min."),
    ] = None,
    force: Annotated[
        str, typer.Option("--force", metavar="REASON", help="Pass over blocking pre-checks; the reason is recorded.")
    ] = "",
    jobs: Jobs = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    plan_only: Annotated[bool, typer.Option("--plan", help="Show what would be done, and do nothing.")] = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Back up during an incident: writes stopped, every storage at once, writes allowed again whatever happens."""
    with opened(quiet=as_json) as installation:
        request = EmergencyRequest(
            database=chosen_database(installation, database).name,
            reason=reason,
            read_only=read_only_mode,
            sessions=cast(Sessions, sessions),
            wait=_duration(wait_for, "--wait-for") or WAIT,
            limit=_duration(limit, "--limit"),
            force_reason=force,
            jobs=jobs,
        )
        if not plan_only:
            check_request(request, installation.settings.database(request.database))
        plan = make_plan(installation, request, queued=queue)
        if plan_only and as_json:
            write_json(_plan_form(plan))
        elif not as_json:
            _draw_plan(plan)
        if plan_only:
            raise typer.Exit(2 if plan.is_blocked else 0)
        if plan.is_blocked and not (force and plan.is_passable):
            blocking = [check for check in plan.problems if check.severity == "blocking"]
            raise Blocked(f"Nothing was started: {blocking[0].message}", hint=blocking[0].hint)
        if not yes:
            _ask(plan)
        mode = Mode(queue, wait, quiet, as_json)
        run = carry_out(
            installation,
            lambda queued: commands.submit_emergency(installation, request, actor=actor(), queue=queued),
            mode,
        )
        if run is not None:
            report_backup(installation, run, mode)


def _duration(text: str | None, option: str) -> Any:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise InputError(f"{option} {text}: {error}.") from error


def _ask(plan: EmergencyPlan) -> None:
    if not sys.stdin.isatty():
        raise InputError("Nobody is there to confirm the plan.", hint="Add --yes to start at once.")
    if not typer.confirm(f"Start the emergency backup of {plan.database} now?", err=True):
        raise typer.Exit(1)


def _draw_plan(plan: EmergencyPlan) -> None:
    for number, step in enumerate(plan.steps, 1):
        note(f"{number}. {printable(step)}")
    for check in plan.problems:
        note(f"{check.severity}: {printable(f'{check.message} {check.hint}'.strip())}", style=_STYLES[check.severity])


def _plan_form(plan: EmergencyPlan) -> dict[str, Any]:
    return {
        "database": plan.database,
        "steps": list(plan.steps),
        "blocked": plan.is_blocked,
        "problems": [
            {"name": c.name, "severity": c.severity, "message": c.message, "hint": c.hint} for c in plan.problems
        ],
        "sessions": plan.sessions,
        "storages": list(plan.storages),
        "expected_seconds": plan.expected_seconds,
    }


@read_only.callback()
def list_modes(context: typer.Context, as_json: AsJson = False) -> None:
    """Show which databases are held in read-only mode. Exit code: 0 none, 1 some."""
    if context.invoked_subcommand is not None:
        return
    with opened(quiet=as_json) as installation:
        held = installation.catalog.read_only_modes.unreleased()
        now = installation.clock()
    if as_json:
        write_json([_mode_form(mode) for mode in held])
    elif not held:
        say("No database is held in read-only mode.")
    else:
        drawn = table(["Database", "For", "By", "Reason", "Released by itself", "Problem"], [])
        for mode in held:
            values = (mode.database, format_duration(now - mode.began_at), mode.actor, mode.reason)
            at = f"{instant(mode.release_by)} UTC at the latest"
            drawn.add_row(*(Text(printable(each)) for each in (*values, at, mode.last_error)))
        stdout().print(drawn)
    raise typer.Exit(1 if held else 0)


@read_only.command("release")
def release_mode(
    database: Annotated[str, typer.Argument(metavar="DATABASE")],
    as_json: AsJson = False,
) -> None:
    """Release a database from read-only mode now; a backup that is being made goes on."""
    with opened(quiet=as_json) as installation:
        released = commands.release_read_only(installation, database, actor=actor())
    if as_json:
        write_json([_mode_form(mode) for mode in released])
    else:
        for mode in released:
            say(printable(after_release(mode)))


def _mode_form(mode: ReadOnlyMode) -> dict[str, Any]:
    return {
        "id": mode.id,
        "database": mode.database,
        "run_id": mode.run_id,
        "actor": mode.actor,
        "reason": mode.reason,
        "began_at": isoformat(mode.began_at),
        "release_by": isoformat(mode.release_by),
        "previous": mode.previous,
        "setting_is_on": mode.sql_step,
        "application_is_told": mode.command_step,
        "was_read_only_before": mode.already_read_only,
        "released_at": isoformat(mode.released_at),
        "released_by": mode.released_by,
        "error": mode.last_error,
        "attempts": mode.attempts,
    }
