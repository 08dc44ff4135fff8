"""What was done, to be kept elsewhere: the log of backups and that of restore tests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
import typer

from services.catalog.model import Backup, BackupType
from services.catalog.schema import backups
from services.cli.ages import age_of
from services.cli.app import app
from services.cli.inventory_commands import OlderThan, TypeOption
from services.cli.session import DatabaseOption, actor, opened
from services.clock import parse_instant
from services.commands.gate import entered
from services.errors import InputError
from services.installation import Installation
from services.logbook.backups import backup_log
from services.logbook.checks import check_log, iterate_checks
from services.logbook.form import LogForm
from services.trends.query import midnight

_FORM = "template: as the runbook writes it; csv: for a spreadsheet; json: everything."
_SINCE = "From this UTC day (2026-11-01) or instant (2026-11-01T02:00:00Z) on."
_UNTIL = "To the end of this UTC day, or up to this instant."


@app.command()
def log(
    backup: Annotated[
        str | None, typer.Argument(metavar="[BACKUP]", help="One backup, by name or id.", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="The whole log, which is also what no option means.")
    ] = False,
    restore_tests: Annotated[bool, typer.Option("--restore-tests", help="The log of restore tests instead.")] = False,
    form: Annotated[LogForm, typer.Option("--format", help=_FORM)] = "template",
    last: Annotated[int | None, typer.Option("--last", min=1, metavar="N", help="The newest N backups.")] = None,
    since: Annotated[str | None, typer.Option("--since", metavar="WHEN", help=_SINCE)] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="WHEN", help=_UNTIL)] = None,
    older_than: OlderThan = None,
    database: DatabaseOption = None,
    kind: TypeOption = None,
) -> None:
    """Write the log of backups, also of those that have expired, the oldest first; or that of restore tests."""
    narrowed = last is not None or older_than is not None
    if everything and (backup is not None or narrowed):
        raise InputError("--all is the whole log.", hint="Leave it out, or leave out what narrows the log down.")
    if restore_tests and (backup is not None or narrowed or kind is not None):
        raise InputError(
            "The log of restore tests is narrowed down by --since, --until and --database alone.",
            hint="See `backups log --help`.",
        )
    if backup is not None and (narrowed or since is not None or until is not None or kind is not None):
        raise InputError("A backup has one entry.", hint="Name the backup alone, or narrow the whole log down.")
    begin, end = range_of(since, until)
    with (
        opened(quiet=form != "template") as installation,
        entered(installation, "export", actor=actor(), command="log", arguments={"file": f"log as {form}"}),
    ):
        if database is not None:
            installation.settings.database(database)
        if restore_tests:
            checks = iterate_checks(
                installation.catalog.engine, restore_tests_only=True, since=begin, until=end, database=database
            )
            _write(check_log(checks, form))
            return
        if older_than is not None:
            oldest = installation.clock() - age_of(older_than)
            end = oldest if end is None else min(end, oldest)
        if backup is not None:
            found: Iterable[Backup] = [installation.catalog.backups.find(backup, database=database)]
        else:
            found = _backups(installation, database, kind, begin, end, last)
        _write(backup_log(found, form))


def _backups(
    installation: Installation,
    database: str | None,
    kind: BackupType | None,
    since: datetime | None,
    until: datetime | None,
    last: int | None,
) -> Iterator[Backup]:
    store = installation.catalog.backups
    if last is not None:
        return reversed(store.list(database=database, type=kind, since=since, until=until, limit=last))
    conditions: list[sa.ColumnElement[bool]] = []
    if database is not None:
        conditions.append(backups.c.database == database)
    if kind is not None:
        conditions.append(backups.c.type == kind)
    if since is not None:
        conditions.append(backups.c.finished_at >= since)
    if until is not None:
        conditions.append(backups.c.finished_at < until)
    return store.iterate(*conditions)


def range_of(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Return the range that ``--since`` and ``--until`` mean. Raise InputError."""
    begin = _instant("--since", since) if since is not None else None
    end = _instant("--until", until, whole_day=True) if until is not None else None
    if begin is not None and end is not None and end <= begin:
        raise InputError(f"The range ends ({until}) before it begins ({since}).", hint="Give --until a later day.")
    return begin, end


def _instant(option: str, text: str, *, whole_day: bool = False) -> datetime:
    """Return the instant that was meant; of a day its beginning, or with ``whole_day`` its end. Raise InputError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            return parse_instant(text)
        except ValueError as error:
            hint = "Write a UTC day (2026-11-01), or an instant with its zone (2026-11-01T02:00:00Z)."
            raise InputError(f"{option}: {text!r} is neither a day nor an instant.", hint=hint) from error
    return midnight(day + timedelta(days=1) if whole_day else day).astimezone(UTC)


def _write(pieces: Iterable[str]) -> None:
    for piece in pieces:
        sys.stdout.write(piece)
