"""The audit log: who did what; and whether it is what was written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, cast, get_args

import typer

from services import commands
from services.audit.findings import Verdict
from services.audit.model import Outcome
from services.audit.query import AuditQuery, find_rows, row_form
from services.cli.app import CommandGroup, app
from services.cli.log_commands import range_of
from services.cli.output import instant, note, say, stdout, table, write_json
from services.cli.session import AsJson, actor, opened
from services.clock import isoformat
from services.errors import InputError
from services.health.nagios import EXIT_CODES
from services.installation import Installation
from services.stream.partial import new_file

audit = typer.Typer(
    cls=CommandGroup,
    help="Who did what, from where, on what, why, and what became of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
app.add_typer(audit, name="audit")

By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="Of this person: cli:mara@host, person:….")]
Action = Annotated[str | None, typer.Option("--action", metavar="ACTION", help="backup.create, download, sign_in, ….")]
OutcomeOption = Annotated[str | None, typer.Option("--outcome", help=f"{', '.join(get_args(Outcome))}.")]
Target = Annotated[str | None, typer.Option("--target", metavar="TEXT", help="Whose target's name holds this.")]
Since = Annotated[str | None, typer.Option("--since", metavar="WHEN", help="From this UTC day or instant on.")]
Until = Annotated[str | None, typer.Option("--until", metavar="WHEN", help="To the end of this UTC day, or up to it.")]


def _query(
    by: str | None, action: str | None, outcome: str | None, target: str | None, since: str | None, until: str | None
) -> AuditQuery:
    if outcome is not None and outcome not in get_args(Outcome):
        raise InputError(f"{outcome!r} is no outcome.", hint=f"There are {', '.join(get_args(Outcome))}.")
    begin, end = range_of(since, until)
    return AuditQuery(by, action, cast(Outcome | None, outcome), target, begin, end)


@audit.command("list")
def list_rows(
    by: By = None,
    action: Action = None,
    outcome: OutcomeOption = None,
    target: Target = None,
    since: Since = None,
    until: Until = None,
    last: Annotated[int, typer.Option("--last", min=1, metavar="N", help="The newest N rows.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List rows, the newest first. Who is no admin sees their own."""
    wanted = _query(by, action, outcome, target, since, until)
    with opened(quiet=as_json) as installation:
        rows = list(find_rows(installation, commands.visible_audit(installation, wanted, actor=actor()), limit=last))
    if as_json:
        write_json([row_form(row) for row in rows])
        return
    columns = ("No.", "At (UTC)", "Who", "From", "What", "On", "Outcome", "Why")
    cells = [
        (str(row.number), instant(row.at, seconds=True), row.actor, row.origin, row.action,
         f"{row.target_kind} {row.target}".strip(), row.outcome, row.reason)
        for row in rows
    ]  # fmt: skip
    if cells:
        stdout().print(table(columns, cells, right=("No.",)))
    else:
        say("No row fits.")


@audit.command()
def verify(
    storages: Annotated[bool, typer.Option(help="Compare with the anchors in the storages.")] = True,
    as_json: AsJson = False,
) -> None:
    """Find changed, removed, moved and added rows. Exit code: 0 none, 1 not all can be told, 2 found, 3 unknown."""
    with opened(quiet=as_json) as installation:
        found = commands.verify_audit(installation, storages=storages, actor=actor())
    _write(found, as_json=as_json)
    raise typer.Exit(EXIT_CODES[found.severity])


@audit.command()
def anchor(as_json: AsJson = False) -> None:
    """Verify the log and anchor its newest row in every storage now, as a worker does daily."""
    with opened(quiet=as_json) as installation:
        done = commands.anchor_audit(installation, actor=actor())
    if as_json:
        write_json([
            {"storage": each.storage, "key": each.anchor.key if each.anchor else None,
             "number": each.anchor.number if each.anchor else None, "error": each.error}
            for each in done
        ])  # fmt: skip
    else:
        for each in done:
            if each.anchor is not None:
                say(f"Row {each.anchor.number} is anchored in {each.storage}: {each.anchor.key}.")
            else:
                note(f"{each.storage}: {each.error}", style="red")
    raise typer.Exit(1 if any(each.anchor is None for each in done) else 0)


@audit.command()
def accept(
    reason: Annotated[str, typer.Option("--reason", help="What happened, and who looked into it.")],
    as_json: AsJson = False,
) -> None:
    """Accept what `backups audit verify` finds: it stays listed, with who and why, and counts no more."""
    with opened(quiet=as_json) as installation:
        found = commands.accept_audit(installation, reason=reason, actor=actor())
    _write(found, as_json=as_json)


@audit.command()
def export(
    form: Annotated[Literal["csv", "json"], typer.Option("--format", help="csv: for a spreadsheet.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A file that does not exist yet.")
    ] = None,
    by: By = None,
    action: Action = None,
    outcome: OutcomeOption = None,
    target: Target = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write rows with their hashes, the newest first. That they were exported is a row as well."""
    wanted = _query(by, action, outcome, target, since, until)
    with opened(quiet=True) as installation:
        _export(installation, wanted, form, output)


def _export(installation: Installation, wanted: AuditQuery, form: Literal["csv", "json"], output: Path | None) -> None:
    pieces = commands.export_audit(installation, wanted, form=form, actor=actor())
    if output is None:
        for piece in pieces:
            sys.stdout.write(piece)
        return
    with new_file(output) as file:
        for piece in pieces:
            file.write(piece.encode())
    say(str(output))


def _write(found: Verdict, *, as_json: bool) -> None:
    if as_json:
        write_json({
            "severity": found.severity, "rows": found.rows, "newest": found.newest, "newest_hash": found.newest_hash,
            "chain": found.chain, "more": found.more,
            "findings": [vars(finding) for finding in found.findings],
            "anchors": [
                {"storage": a.storage, "key": a.key, "number": a.number, "at": isoformat(a.at), "trust": a.trust,
                 "fault": a.fault}
                for a in found.anchors
            ],
        })  # fmt: skip
        return
    say(f"{found.severity.upper()}: {found.sentence}.".replace("..", "."))
    for finding in found.findings:
        if finding.accepted:
            say(f"  accepted ({finding.accepted}): {finding.sentence}")
        else:
            say(f"  {finding.severity}: {finding.sentence}", style="red" if finding.severity == "failure" else "yellow")
    newest = max((a for a in found.anchors if a.at is not None), key=lambda a: a.number, default=None)
    if newest is not None:
        anchored = f"row {newest.number}, {instant(newest.at)} UTC, in {newest.storage}"
        say(f"Newest anchor: {anchored}; {len(found.anchors)} in all.", style="dim")
