"""The retention planner by itself: simulate. Needs no installation."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from services.cli.app import app
from services.cli.output import instant, say, stdout, table, write_json
from services.cli.session import AsJson
from services.clock import parse_instant, utc_now
from services.errors import InputError
from services.retention.inventory_file import parse_inventory
from services.retention.planner import Candidate, Decision, plan
from services.retention.policy import RetentionPolicy
from services.retention.words import GOING_WORDS


@app.command()
def simulate(
    inventory: Annotated[
        str,
        typer.Option(
            "--inventory", metavar="FILE", help="JSON list of backups; - for standard input.", show_default=False
        ),
    ],
    policy: Annotated[
        str, typer.Option("--policy", metavar="D,W,M,Y", help="How many days, weeks, months and years keep a backup.")
    ] = str(RetentionPolicy()),
    minimum: Annotated[
        int, typer.Option("--minimum", metavar="N", help="So many of the newest good ones are always kept.")
    ] = RetentionPolicy().minimum,
    now: Annotated[
        str | None, typer.Option("--now", metavar="TIME", help="Plan for this instant: 2026-11-22T02:10:00Z.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what a retention policy keeps of an inventory, and why. Reads the file alone and changes nothing.

    FILE is a list of {id, finished_at, state, type, pinned, proven_at, verification_passed}, the output of
    `backups list --json` for example; the JSON answer a list of {id, keep, tiers, reasons} in the same order.
    """
    chosen = RetentionPolicy.parse(policy, minimum=minimum)
    at = utc_now() if now is None else _instant(now)
    candidates = parse_inventory(_content(inventory))
    decisions = plan(candidates, chosen, at)
    if as_json:
        write_json([simulation_form(decision) for decision in decisions])
    else:
        _draw_simulation(candidates, decisions)


def simulation_form(decision: Decision) -> dict[str, Any]:
    """Return a decision as ``backups simulate`` answers it."""
    return {
        "id": decision.id,
        "keep": decision.keep,
        "tiers": list(decision.tiers),
        "reasons": list(decision.reasons),
    }


def _draw_simulation(candidates: list[Candidate], decisions: list[Decision]) -> None:
    rows = [
        (
            candidate.id,
            instant(candidate.finished_at),
            Text("keep", style="green") if decision.keep else Text("goes", style="yellow"),
            ", ".join(decision.reasons) or GOING_WORDS[decision.going],
            instant(decision.expires_at) if decision.keep else "–",
        )
        for candidate, decision in zip(candidates, decisions, strict=True)
    ]
    columns = ["Backup", "Finished (UTC)", "", "Because", "Kept until (UTC)"]
    stdout().print(table(columns, rows, whole=["Kept until (UTC)"]))
    kept = sum(decision.keep for decision in decisions)
    say(f"{kept:,} of {len(decisions):,} are kept.")


def _content(inventory: str) -> bytes:
    if inventory == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(inventory).read_bytes()
    except OSError as error:
        raise InputError(
            f"The inventory {inventory} cannot be read: {error.strerror}.", hint="Give a file, or - for standard input."
        ) from error


def _instant(text: str) -> datetime:
    try:
        return parse_instant(text)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{text!r} is no time with a zone.", hint="Write 2026-11-22T02:10:00Z.") from error
