"""What is going on: status, runs, cancel."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import typer
from rich.text import Text

from services import commands
from services.catalog.model import Backup, Run, RunKind, RunState
from services.cli.app import app
from services.cli.forms import backup_forms, log_form, run_form
from services.cli.output import instant, note, printable, say, stdout, table, write_json, write_pairs
from services.cli.progress import pace
from services.cli.session import AsJson, DatabaseOption, actor, opened
from services.clock import isoformat
from services.errors import InputError
from services.installation import Installation
from services.overview import load_overview
from services.schedules.outcomes import SlotOutcome
from services.schedules.standing import slots_of_day
from services.status import DatabaseStatus
from services.units import format_duration

_CODES = {"PROTECTED": 0, "PAUSED": 0, "AT RISK": 1, "UNPROTECTED": 2, "NEVER BACKED UP": 2, "UNKNOWN": 3}
_WORST_LAST = (0, 1, 3, 2)
_STYLES = {0: "green", 1: "yellow", 2: "bold red", 3: "magenta"}
_SLOT_STYLES = {"satisfied": "green", "late": "yellow", "missed": "bold red", "open": ""}


@app.command()
def status(
    database: DatabaseOption = None,
    day: Annotated[
        str | None,
        typer.Option(
            "--date",
            metavar="DATE",
            help="Instead: was what was due on this UTC day done? today, 2026-11-22",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how safe each database is, worst first. Exit code: 0 protected, 1 at risk, 2 unprotected, 3 unknown.

    With --date: 0 when every slot of that day was satisfied (without a schedule: when each database has a good backup
    of that day), 1 while one is open or not due yet, 2 otherwise.
    """
    with opened(quiet=as_json) as installation:
        if database is not None:
            installation.settings.database(database)
        if day is not None:
            code = _status_of_day(installation, database, day, as_json=as_json)
        else:
            code = _status_now(installation, database, as_json=as_json)
    raise typer.Exit(code)


def _status_now(installation: Installation, database: str | None, *, as_json: bool) -> int:
    overview = load_overview(installation)
    statuses = [s for s in overview.statuses if database in (None, s.database)]
    if as_json:
        write_json([_status_form(s) for s in statuses])
    else:
        if database is None:
            say(f"{overview.verdict.sentence} {overview.verdict.detail}".rstrip())
        drawn = table(["Database", "State", "Why"], [])
        for s in statuses:
            drawn.add_row(Text(s.database), Text(s.state, style=_STYLES[_CODES[s.state]]), _why(s))
        stdout().print(drawn)
        if overview.worker_problem is not None:
            note(f"{overview.worker_problem.text} {overview.worker_problem.hint}".rstrip(), style="yellow")
    return max((_CODES[s.state] for s in statuses), key=_WORST_LAST.index, default=3)


def _why(found: DatabaseStatus) -> Text:
    return Text("\n".join(printable(reason.text) for reason in found.reasons))


def _status_form(found: DatabaseStatus) -> dict[str, Any]:
    good = found.evidence.last_good
    return {
        "database": found.database,
        "state": found.state,
        "restorable": found.is_restorable,
        "at": isoformat(found.now),
        "last_good": None
        if good is None
        else {"id": good.id, "name": good.name, "snapshot_at": isoformat(good.snapshot_at)},
        "reasons": [
            {"severity": r.severity, "text": r.text, "hint": r.hint, "at": isoformat(r.at)} for r in found.reasons
        ],
        "active": [run_form(run) for run in found.active],
    }


def _status_of_day(installation: Installation, database: str | None, text: str, *, as_json: bool) -> int:
    day = _day(installation, text)
    begins = datetime.combine(day, time(), tzinfo=UTC)
    names = [database] if database else [d.name for d in installation.settings.databases]
    slots = slots_of_day(installation, names, day)
    found = {
        name: [
            backup
            for backup in installation.catalog.backups.list(
                database=name, since=begins, until=begins + timedelta(days=1)
            )
            if backup.is_good
        ]
        for name in names
    }
    if as_json:
        write_json(
            [
                {
                    "database": name,
                    "date": day.isoformat(),
                    "backups": backup_forms(installation, backups),
                    "slots": [_slot_form(outcome) for outcome in slots[name] or ()],
                }
                for name, backups in found.items()
            ]
        )
    else:
        for name, backups in found.items():
            _draw_day(name, day, backups, slots[name])
    codes = [_code_of_day(backups, slots[name]) for name, backups in found.items()]
    return max(codes, default=2)


def _code_of_day(backups: list[Backup], slots: list[SlotOutcome] | None) -> int:
    if slots is None:
        return 0 if backups else 2
    states = {outcome.state for outcome in slots}
    return 2 if states & {"missed", "late"} else 1 if "open" in states else 0


def _draw_day(name: str, day: date, backups: list[Backup], slots: list[SlotOutcome] | None) -> None:
    if backups:
        newest = backups[0]
        took = format_duration(newest.duration)
        say(f"{name}: {newest.name}, finished {instant(newest.finished_at)} UTC in {took}")
    elif slots is not None and not slots:
        say(f"{name}: nothing was due on {day.isoformat()} (UTC)")
    elif slots and all(outcome.state == "open" for outcome in slots):
        say(f"{name}: no good backup yet on {day.isoformat()} (UTC)")
    else:
        say(f"{name}: no good backup on {day.isoformat()} (UTC)", style="bold red")
    for outcome in slots or ():
        when = f"  slot of {instant(outcome.slot.due)} UTC, deadline {instant(outcome.slot.deadline_at)}"
        words = f"{outcome.state}. {outcome.cause}" if outcome.cause else outcome.state
        say(f"{when}: {words}", style=_SLOT_STYLES[outcome.state])


def _slot_form(outcome: SlotOutcome) -> dict[str, Any]:
    return {
        "due": isoformat(outcome.slot.due),
        "deadline_at": isoformat(outcome.slot.deadline_at),
        "state": outcome.state,
        "finished_at": isoformat(outcome.finished_at),
        "cause": outcome.cause,
        "run_id": outcome.run_id,
    }


def _day(installation: Installation, text: str) -> date:
    today = installation.clock().astimezone(UTC).date()
    if text in ("today", "yesterday"):
        return today if text == "today" else today - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no date.", hint="Write today, yesterday or 2026-11-22.") from error


@app.command()
def runs(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="One run, with its log.", show_default=False)
    ] = None,
    database: DatabaseOption = None,
    kind: Annotated[RunKind | None, typer.Option("--kind", help="Only this kind.")] = None,
    state: Annotated[RunState | None, typer.Option("--state", help="Only this state.")] = None,
    last: Annotated[int, typer.Option("--last", min=1, metavar="N", help="The newest N.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what was attempted and how it ended, or show one run with its log."""
    with opened(quiet=as_json) as installation:
        if run is not None:
            _show_run(installation, run, as_json=as_json)
            return
        if database is not None:
            installation.settings.database(database)
        found = installation.catalog.runs.list(
            database=database, kind=kind, states=[state] if state else None, limit=last
        )
    if as_json:
        write_json([run_form(each) for each in found])
        return
    rows = [
        (
            each.id,
            each.kind.replace("_", " "),
            each.database or "–",
            "refused" if each.was_refused else each.state,
            instant(each.queued_at),
            "–" if each.duration is None else format_duration(each.duration),
            _reason(each),
        )
        for each in found
    ]
    columns = ["Run", "Kind", "Database", "State", "Asked for (UTC)", "Took", "Reason"]
    stdout().print(table(columns, rows, right=["Took"], whole=["Run", "State"]))


def _reason(run: Run) -> str:
    """Return why a run failed, or, of a check that ended, what it found: ``finished`` alone says nothing of that."""
    outcome = run.result.get("outcome")
    found = f"{outcome}: {run.result.get('reason', '')}".rstrip(": ") if outcome else ""
    return run.error or found


def _show_run(installation: Installation, run_id: str, *, as_json: bool) -> None:
    found = installation.catalog.runs.get(run_id)
    lines = installation.catalog.runs.log(run_id)
    if as_json:
        write_json(run_form(found) | {"log": [log_form(line) for line in lines]})
        return
    state: str = "refused" if found.was_refused else found.state
    if state == "running":
        now = pace(found, installation.clock())
        state = f"running: {now.phase} {now.words}".rstrip()
    rows = [
        ("run", found.id),
        ("what", f"{found.kind.replace('_', ' ')} of {found.database or 'everything'}"),
        ("state", state),
        ("asked for", f"{instant(found.queued_at, seconds=True)} UTC by {found.actor}"),
    ]
    if found.reason:
        rows.append(("because", found.reason))
    if found.error:
        rows.append(("refused" if found.was_refused else "failed", f"{found.error} {found.hint}".rstrip()))
    write_pairs(rows)
    for line in lines:
        say(f"{instant(line.at, seconds=True)} {line.message}")


@app.command()
def cancel(run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]) -> None:
    """Stop a run: its child processes are ended, and what was half stored is removed."""
    with opened() as installation:
        commands.request_cancel(installation, run, actor=actor())
        state = installation.catalog.runs.get(run).state
    say("Cancelled." if state == "cancelled" else "Asked to stop.")
