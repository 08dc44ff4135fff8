"""The service level: slo."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from services.cli.app import app
from services.cli.forms import seconds
from services.cli.output import instant, printable, say, stdout, table, write_json
from services.cli.session import AsJson, DatabaseOption, opened
from services.clock import isoformat
from services.schedules.outcomes import SlotOutcome
from services.slo import DatabaseSlo, Slo, Tally, load_slo
from services.status import age
from services.units import format_duration, format_share

SHOWN = 20
"""Misses that are listed; ``--json`` has all of them."""
_KEPT = {True: Text("kept", style="green"), False: Text("BROKEN", style="bold red"), None: Text("–")}


@app.command()
def slo(
    days: Annotated[int, typer.Option(min=1, metavar="N", help="The last N days: 30, 90, 365.")] = 30,
    database: DatabaseOption = None,
    as_json: AsJson = False,
) -> None:
    """Say how many slots were satisfied within their deadline, and list the misses with their cause.

    Exit code: 0 the target is kept, 2 it is not, 3 no slot has passed its deadline yet.
    """
    with opened(quiet=as_json) as installation:
        found = load_slo(installation, days=days, database=database)
    if as_json:
        write_json(_form(found))
    else:
        _draw(found)
    kept = {tally.is_kept for tally in (found.total, *(each.tally for each in found.databases))}
    raise typer.Exit(2 if False in kept else 0 if True in kept else 3)


def _draw(found: Slo) -> None:
    say(f"The last {found.days} days, up to {instant(found.now)} UTC; target {found.total.target:g} %.")
    columns = ["Database", "Satisfied", "Slots", "Missed", "Allowed", "Open", "", "RPO", "RTO"]
    drawn = table(columns, [], right=["Satisfied", "Slots", "Missed", "Allowed", "Open"], whole=["Database"])
    rows: list[tuple[str, Tally, DatabaseSlo | None]] = [(d.database, d.tally, d) for d in found.databases]
    if len(rows) != 1:
        rows.append(("all", found.total, None))
    for name, tally, database in rows:
        share = format_share(tally.satisfied, tally.slots)
        numbers = (f"{tally.slots:,}", f"{tally.missed:,}", f"{tally.allowed:,}", f"{tally.open:,}")
        drawn.add_row(printable(name), share, *numbers, _KEPT[tally.is_kept], _rpo(database), _rto(database))
    stdout().print(drawn)
    misses = sorted((m for d in found.databases for m in d.misses), key=lambda m: m.slot.due, reverse=True)
    if not misses:
        return
    listed = [(instant(m.slot.due), str(m.slot.database), m.state, m.cause) for m in misses[:SHOWN]]
    stdout().print(table(["Due (UTC)", "Database", "State", "Cause"], listed, whole=["Due (UTC)", "State"]))
    if len(misses) > SHOWN:
        say(f"and {len(misses) - SHOWN:,} more")


def _rpo(database: DatabaseSlo | None) -> Text:
    if database is None or database.rpo_achieved is None:
        return Text("–")
    return Text(f"{age(database.rpo_achieved)} of {age(database.rpo)}", style="" if database.rpo_kept else "bold red")


def _rto(database: DatabaseSlo | None) -> Text:
    if database is None or database.restores is None:
        return Text("–")
    words = f"{format_duration(database.restores.slowest_seconds)} of {age(database.rto)}"
    return Text(words, style="" if database.rto_kept else "bold red")


def _form(found: Slo) -> dict[str, Any]:
    return {
        "at": isoformat(found.now),
        "days": found.days,
        "target_percent": found.total.target,
        "total": _tally_form(found.total),
        "databases": [
            {
                "database": database.database,
                **_tally_form(database.tally),
                "rpo": {
                    "limit_seconds": seconds(database.rpo),
                    "achieved_seconds": seconds(database.rpo_achieved),
                    "kept": database.rpo_kept,
                },
                "rto": {
                    "limit_seconds": seconds(database.rto),
                    "slowest_seconds": database.restores.slowest_seconds if database.restores else None,
                    "restore_tests": database.restores.passed if database.restores else 0,
                    "kept": database.rto_kept,
                },
                "misses": [_miss_form(miss) for miss in database.misses],
            }
            for database in found.databases
        ],
    }


def _tally_form(tally: Tally) -> dict[str, Any]:
    return {
        "slots": tally.slots,
        "satisfied": tally.satisfied,
        "missed": tally.missed,
        "open": tally.open,
        "satisfied_percent": tally.share,
        "allowed_misses": tally.allowed,
        "misses_left": tally.left,
        "kept": tally.is_kept,
    }


def _miss_form(miss: SlotOutcome) -> dict[str, Any]:
    return {
        "schedule": miss.slot.schedule,
        "due": isoformat(miss.slot.due),
        "deadline_at": isoformat(miss.slot.deadline_at),
        "state": miss.state,
        "finished_at": isoformat(miss.finished_at),
        "cause": miss.cause,
        "run_id": miss.run_id,
        "backup_id": miss.backup_id,
    }
