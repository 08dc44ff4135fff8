"""Point in time, the log's side: how a server stands, setting it up, and whether its log is in the storage, whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer
from rich.text import Text

from services.audit.readings import reading
from services.catalog.wal_archives import FaultyFile, wal_archive_state
from services.cli.output import instant, note, printable, say, stdout, table, write_json
from services.cli.pitr_forms import check_form, gap_form, listing_form, status_form, window_form
from services.cli.pitr_group import pitr
from services.cli.session import AsJson, actor, chosen_database, opened
from services.commands.gate import entered
from services.errors import BackupsError
from services.installation import Installation
from services.pitr.archive import WalArchive
from services.pitr.expire import expire_window, first_needed
from services.pitr.gaps import needed_gaps
from services.pitr.listing import Listing, list_archive
from services.pitr.log_checks import keep_findings
from services.pitr.open import existing_archive
from services.pitr.overview import load_point_in_time
from services.pitr.setup import Step, apply_setup, open_checks, script
from services.pitr.status import PitrStatus, load_status
from services.pitr.status_check import StatusCheck
from services.pitr.verify import check_files
from services.pitr.wal_commands import main as call
from services.pitr.wal_names import format_lsn
from services.postgres.connection import Address
from services.settings.model import DatabaseSettings
from services.units import format_bytes, format_duration

Database = Annotated[str | None, typer.Argument(metavar="DATABASE", help="Where the settings name several.")]
_CODES = {"ok": 0, "warning": 1, "blocking": 2}
_STYLES = {"ok": "green", "warning": "yellow", "blocking": "bold red", "done": "green", "failed": "bold red"}
_AS_IS = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
FOUND = 2
UNKNOWN = 3


@pitr.command("status")
def status_command(database: Database = None, as_json: AsJson = False) -> None:
    """Show what a server is set to and whether its log arrives. Exit code: 0 ok, 1 warning, 2 blocking."""
    with opened(quiet=as_json) as installation:
        status = load_status(installation, chosen_database(installation, database))
    if as_json:
        write_json(status_form(status))
    else:
        on = "" if status.enabled else " · off in the settings"
        say(f"{status.database}: point in time by {status.method}{on}")
        for check in status.checks:
            _draw_check(check)
    raise typer.Exit(_CODES[status.worst])


@pitr.command("setup")
def setup_command(
    database: Database = None,
    apply: Annotated[bool, typer.Option("--apply", help="Do what SQL can do; otherwise only print it.")] = False,
    archive_command: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="With --apply: the archive_command, tried on the server.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print what makes a server ready for point in time, statement by statement. Exit code: 1 when a step failed."""
    with opened(quiet=as_json) as installation:
        settings = chosen_database(installation, database)
        status = load_status(installation, settings)
        steps = []
        if apply:
            address = Address.parse(settings.url.get_secret_value())
            with entered(installation, "pitr.setup", actor=actor(), arguments={"database": settings.name}):
                steps = apply_setup(address, status, archive_command=archive_command)
    if as_json:
        open_ones = [check_form(check) for check in open_checks(status)]
        write_json({"database": status.database, "open": open_ones, "steps": [vars(step) for step in steps]})
    elif apply:
        _draw_steps(steps)
    else:
        _draw_plan(status)
    raise typer.Exit(1 if any(step.outcome == "failed" for step in steps) else 0)


@pitr.command("gaps")
def gaps_command(database: Database = None, as_json: AsJson = False) -> None:
    """List the log in the storage and name what is missing, or known to be damaged. Exit code: 0 none, 2 some, 3
    unknown."""
    with opened(quiet=as_json) as installation:
        settings = chosen_database(installation, database)
        _, listing = _look(installation, settings)
    if as_json:
        write_json({"database": settings.name, **listing_form(listing)})
    else:
        _draw_listing(settings.name, listing)
    raise typer.Exit(FOUND if listing.gaps or listing.bad else 0)


@pitr.command("windows")
def windows_command(database: Database = None, as_json: AsJson = False) -> None:
    """Show from when to when can be restored to a point. Exit code: 0 fine, 1 ends at a gap, 2 none, 3 unknown."""
    with opened(quiet=as_json) as installation:
        found = load_point_in_time(installation, chosen_database(installation, database))
    bad = found.listing.bad if found.listing is not None else ()
    if as_json:
        forms = [window_form(window) for window in found.windows]
        faults = [{"key": one.key, "reason": one.reason} for one in bad]
        write_json({"database": found.database, "error": found.error, "windows": forms, "bad": faults})
    elif found.error:
        note(f"Unknown: {found.error}", style="bold red")
    else:
        rows = [
            (
                instant(window.from_at, seconds=True), instant(window.to_at, seconds=True), str(window.timeline),
                format_lsn(window.from_lsn), format_lsn(window.to_lsn), "; ".join(str(gap) for gap in window.gaps),
            )
            for window in found.windows
        ]  # fmt: skip
        if rows:
            stdout().print(table(["From (UTC)", "To (UTC)", "Timeline", "From", "To", "Ended by a gap"], rows))
        else:
            say("Nothing can be restored to a point in time: no base backup has its log in the storage.")
        _draw_bad(bad)
    code = UNKNOWN if found.error else FOUND if not found.windows else 1 if found.windows[-1].gaps or bad else 0
    raise typer.Exit(code)


@pitr.command("verify")
def verify_command(
    database: Database = None,
    last: Annotated[int | None, typer.Option("--last", min=1, help="Only so many of the newest files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the log in the storage to its end, with the key. Exit code: 0 all sound, 2 damaged or missing, 3 unknown."""
    with opened(quiet=as_json) as installation:
        settings = chosen_database(installation, database)
        archive, listing = _look(installation, settings)
        who, asked = actor(), {"database": settings.name, "last": last}
        with (
            entered(installation, "backup.verify", actor=who, command="pitr verify", arguments=asked),
            reading(installation, who, "database", settings.name, command="pitr verify"),
            _unknown(),
        ):
            found = check_files(archive, listing.files, last=last)
        keep_findings(installation, settings, found.keys, found.damaged)
    if as_json:
        damaged = [{"key": file.key, "reason": file.reason} for file in found.damaged]
        form = {"files": found.files, "plain_bytes": found.plain_bytes, "damaged": damaged}
        write_json({"database": settings.name, **form, "gaps": [gap_form(gap) for gap in listing.gaps]})
    else:
        say(f"{found.files:,} files read, {format_bytes(found.plain_bytes)} of log.")
        _draw_bad([*found.damaged, *listing.conflicts.values()])
        for gap in listing.gaps:
            say(f"MISSING  {gap}", style="bold red")
    raise typer.Exit(FOUND if found.damaged or listing.conflicts or listing.gaps else 0)


@pitr.command("expire")
def expire_command(database: Database = None, as_json: AsJson = False) -> None:
    """Show what the window does not need: base backups and log. The cleanup deletes it (`backups cleanup --apply`)."""
    with opened(quiet=as_json) as installation:
        settings = chosen_database(installation, database)
        report = expire_window(installation, settings)
    if as_json:
        write_json({**report.to_json(), "window_seconds": settings.pitr.window.total_seconds()})
        return
    for name in report.bases:
        say(f"base backup {name}")
    say(
        f"{len(report.bases):,} base backups and {report.files:,} files of the log ({format_bytes(report.bytes)}) are "
        f"outside the window of {format_duration(settings.pitr.window)}; {report.kept_bases:,} base backups stay. "
        "Nothing was changed: `backups cleanup --apply` deletes."
    )
    if report.refused:
        note(f"Of the log nothing goes: {report.refused}", style="yellow")


@pitr.command("wal-push", context_settings=_AS_IS, add_help_option=False)
def wal_push(context: typer.Context) -> None:
    """Store a file of pg_wal: archive_command = 'backups pitr wal-push %p'."""
    raise typer.Exit(call(["wal-push", *context.args]))


@pitr.command("wal-fetch", context_settings=_AS_IS, add_help_option=False)
def wal_fetch(context: typer.Context) -> None:
    """Fetch a file of the archive: restore_command = 'backups pitr wal-fetch %f %p'."""
    raise typer.Exit(call(["wal-fetch", *context.args]))


@contextmanager
def _unknown() -> Iterator[None]:
    """Have what keeps us from finding out end with the exit code for that."""
    try:
        yield
    except BackupsError as error:
        error.exit_code = UNKNOWN
        raise


def _look(installation: Installation, database: DatabaseSettings) -> tuple[WalArchive, Listing]:
    """Return a database's archive and what it lists, with the gaps that matter."""
    with _unknown():
        storage = installation.storage(installation.settings.pitr_storage_of(database).name)
        archive = existing_archive(installation.settings, database, storage)
        listing = list_archive(archive)
        begins = first_needed(installation, database, archive.system_identifier)
        known = wal_archive_state(installation.catalog.engine, database.name, storage.name)
        listing = replace(listing, gaps=tuple(needed_gaps(listing.gaps, begins)))
        return archive, listing.with_damaged(known.damaged)


def _draw_check(check: StatusCheck) -> None:
    line = Text(f"{check.severity:<9}", style=_STYLES[check.severity])
    line.append(printable(f"{check.name}: {check.message}"), style="default")
    stdout().print(line, soft_wrap=True)
    if check.hint:
        say(f"         {check.hint}", style="dim")
    if check.remedy is not None:
        say(f"         {check.remedy.text()}")


def _draw_plan(status: PitrStatus) -> None:
    waiting = script(status)
    for line in waiting:
        say(line, style="dim" if line.startswith("--") else "")
    for check in status.checks:
        if check.severity == "blocking" and check.remedy is None:
            note(f"{check.name}: {check.message} {check.hint}".rstrip(), style="yellow")
    if waiting:
        note("Nothing was changed; --apply does what SQL can do.")  # beside the script, which psql takes as it is
    else:
        say("Nothing is left to set up.")


def _draw_steps(steps: list[Step]) -> None:
    for step in steps:
        line = Text(f"{step.outcome:<8}", style=_STYLES.get(step.outcome, "yellow"))
        said = f"  ({step.said})" if step.said else ""
        line.append(printable(f"{step.statement}{said}"), style="default")
        stdout().print(line, soft_wrap=True)
    if any(step.restart and step.outcome == "done" for step in steps):
        say("Restart the server: what was set counts from then on.", style="yellow")
    if not steps:
        say("Nothing is left to set up.")


def _draw_listing(database: str, listing: Listing) -> None:
    say(
        f"{database}: {len(listing.segments):,} segments, {format_bytes(listing.stored_bytes)}, "
        f"cluster {listing.system_identifier}"
    )
    rows = []
    for timeline in sorted({segment.timeline for segment in listing.segments}):
        here = [segment for segment in listing.segments if segment.timeline == timeline]
        rows.append((str(timeline), here[0].name, here[-1].name, f"{len(here):,}"))
    stdout().print(table(["Timeline", "First", "Last", "Segments"], rows, right=["Segments"]))
    for gap in listing.gaps:
        say(f"MISSING  {gap}", style="bold red")
    _draw_bad(listing.bad)
    if not listing.gaps and not listing.bad:
        say("No segment is missing.")


def _draw_bad(files: Iterable[FaultyFile]) -> None:
    for file in files:
        say(f"DAMAGED  {file.reason}", style="bold red")
