"""How backups change over time."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from services.catalog.model import BackupType
from services.cli.app import app
from services.cli.output import write_json
from services.cli.session import AsJson, DatabaseOption, opened
from services.errors import InputError
from services.trends.query import DEFAULT_SPAN, Span, TrendsQuery, choose_days


@app.command()
def trends(
    database: DatabaseOption = None,
    kind: Annotated[BackupType | None, typer.Option("--type", help="Only this type.")] = None,
    span: Annotated[Span | None, typer.Option("--range", help=f"Days that end today; default {DEFAULT_SPAN}.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DAY", help="From this UTC day on: 2026-08-01")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="DAY", help="To the end of this UTC day.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say how durations, sizes, success, storage and restores change, and what is unlike what was before."""
    # Imported here: pandas costs a third of a second, which no other command need pay.
    from services.cli.trends_forms import say_trends, trends_form
    from services.trends.trends import load_trends

    if span is not None and (since is not None or until is not None):
        raise InputError("--range ends today.", hint="Give --since and --until, or --range alone.")
    with opened(quiet=as_json) as installation:
        names = [installation.settings.database(database).name] if database else [
            each.name for each in installation.settings.databases
        ]  # fmt: skip
        first, last = choose_days(installation.clock(), span=span, first=_day(since), last=_day(until))
        found = load_trends(installation, TrendsQuery(first, last, tuple(names), kind, everything=database is None))
    if as_json:
        write_json(trends_form(found))
    else:
        say_trends(found)


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no day.", hint="Write it as 2026-08-01.") from error
