"""Getting data back: restore into a new database, and compare a database with a backup or with another one."""

from __future__ import annotations

import os
from typing import Annotated, Literal

import typer

from services import commands
from services.backups.manifest import Manifest
from services.catalog.model import Run
from services.cli.app import app
from services.cli.forms import run_form
from services.cli.output import say, stdout, table, write_json, write_pairs
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, DatabaseOption, StorageOption, WaitForThaw, actor, opened
from services.errors import InputError, UnknownName
from services.installation import Installation
from services.postgres.connection import Address
from services.postgres.fingerprint import take_fingerprint
from services.postgres.fingerprint_model import Fingerprint
from services.restores.compare import compare_fingerprints
from services.restores.compare_databases import compare_databases
from services.restores.comparison_model import DIFFERENCES, Comparison
from services.restores.copies import choose_copy
from services.restores.evidence import read_evidence
from services.restores.excluded import excluded_tables
from services.restores.proof import EVERY_SIZE
from services.restores.report import RestoreReport
from services.units import format_duration

_COMPARED = {"passed": "equal", "failed": "DIFFERENT"}
_RESTORE_CODES = {"passed": 0, "failed": 2}
_NOT_COMPARED = 3


@app.command()
def restore(
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="Name or id.")],
    target: Annotated[str, typer.Option(metavar="NEWDB", help="A database that does not exist yet.")],
    database: DatabaseOption = None,
    server: Annotated[
        Literal["source", "restore-test"], typer.Option(help="The source's server, or the one of restore_test_url.")
    ] = "source",
    storage: StorageOption = None,
    wait_for_thaw: WaitForThaw = False,
    tables: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="SCHEMA.NAME", help="Only this table and what it needs; pattern; repeatable."),
    ] = None,
    schemas: Annotated[
        list[str] | None,
        typer.Option("--schema", metavar="SCHEMA", help="Only this schema and what it needs; pattern; repeatable."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")] = "",
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Restore a backup, or some of its tables or schemas, into a new database. What exists is never touched.

    Exit code: 0 restored and equal to the source, 2 restored but different, 3 restored but not compared.
    """
    with opened(quiet=as_json) as installation:
        chosen = installation.catalog.backups.find(backup, database=database)
        run = carry_out(
            installation,
            lambda queued: commands.submit_restore(
                installation,
                chosen.id,
                target,
                server=server,
                storage=storage,
                wait_for_thaw=wait_for_thaw,
                tables=tables or (),
                schemas=schemas or (),
                actor=actor(),
                reason=reason,
                queue=queued,
            ),
            Mode(queue, wait, quiet, as_json),
        )
        if run is None:
            return
        _report_restore(run, as_json=as_json)


def _report_restore(run: Run, *, as_json: bool) -> None:
    """Say what was restored and how it compares. Exit with 2 when it differs from the source, 3 when nobody knows."""
    report = RestoreReport.from_json(run.result["report"]) if run.state == "finished" else None
    if as_json:
        outcome = None if report is None else report.outcome
        write_json(
            {
                "run": run_form(run),
                "outcome": outcome,
                "summary": "" if report is None else report.summary,
                "part": [] if report is None else list(report.part),
                "left_out": [] if report is None else list(report.left_out),
            }
        )
    elif report is not None:
        write_pairs(
            [
                ("backup", report.backup_name),
                ("restored to", f"{report.target} on {report.server}, PostgreSQL {report.server_version}"),
                ("took", format_duration(report.total_seconds)),
                ("compared", f"{_COMPARED.get(report.outcome, report.outcome)}: {report.summary}"),
            ]
        )
    fail_unless_finished(run)
    if report is not None:
        raise typer.Exit(_RESTORE_CODES.get(report.outcome, _NOT_COMPARED))


@app.command()
def compare(
    expected: Annotated[
        str, typer.Argument(metavar="EXPECTED", help="A backup, a database of the settings, env:NAME or a URL.")
    ],
    actual: Annotated[str, typer.Argument(metavar="ACTUAL", help="A database of the settings, env:NAME or a URL.")],
    as_json: AsJson = False,
) -> None:
    """Compare a database with a backup, or with another database, table by table by count and content.

    A URL with a password would be seen in the list of processes: put it into an environment variable, say RESTORED_URL,
    and write env:RESTORED_URL. Exit code: 0 equal, 2 different.
    """
    with opened(quiet=as_json) as installation:
        found = _compare(installation, expected, actual)
    if as_json:
        write_json({"equal": found.is_equal, "differences": found.differences()} | found.to_json())
    else:
        _draw(found)
    raise typer.Exit(0 if found.is_equal else 2)


def _compare(installation: Installation, expected: str, actual: str) -> Comparison:
    there = _address(installation, actual)
    if there is None:
        raise UnknownName(
            f"No database is called {actual!r}.",
            hint="Give a database of the settings, env:NAME (a variable that holds a URL) or a URL without password.",
        )
    source = _address(installation, expected)
    if source is not None:
        return compare_databases(source.url().get_secret_value(), there.url().get_secret_value())
    wanted, manifest = _of_backup(installation, expected)
    found = take_fingerprint(there, snapshot_id=None, hash_limit=EVERY_SIZE, like=wanted)
    return compare_fingerprints(
        wanted, found, excluded=manifest.backup.excluded, excluded_tables=excluded_tables(manifest)
    )


def _of_backup(installation: Installation, text: str) -> tuple[Fingerprint, Manifest]:
    backup = installation.catalog.backups.find(text)
    manifest = read_evidence(installation, backup, choose_copy(installation, backup, None))
    if manifest.fingerprint is None:
        raise InputError(
            f"{backup.name} was adopted and has no fingerprint to compare with.",
            hint="Restore it, and compare the two databases.",
        )
    return manifest.fingerprint, manifest


def _address(installation: Installation, text: str) -> Address | None:
    """Given what stands for a database, return its address; None when it is neither URL, variable nor name."""
    if text.startswith("env:"):
        name = text.removeprefix("env:")
        if not os.environ.get(name):
            raise InputError(f"The environment variable {name} is not set.", hint=f"export {name}=postgresql://…")
        return Address.parse(os.environ[name])
    if text.startswith(("postgresql://", "postgres://")):
        address = Address.parse(text)
        if address.password is not None:
            raise InputError(
                "A password on the command line is seen by everybody on this machine.",
                hint="Put the URL into an environment variable, say RESTORED_URL, and write env:RESTORED_URL.",
            )
        return address
    for database in installation.settings.databases:
        if database.name == text:
            return Address.parse(database.url.get_secret_value())
    return None


def _draw(found: Comparison) -> None:
    rows = []
    for row in found.tables:
        counts = ["–" if n is None else f"{n:,}" for n in (row.expected_rows, row.actual_rows)]
        rows.append((row.label, *counts, row.hash, row.words))
    stdout().print(table(["Table", "Expected", "Actual", "Content", "Finding"], rows, right=["Expected", "Actual"]))
    others = [("sequence", s.name, s.words) for s in found.sequences if s.outcome in DIFFERENCES]
    others += [(o.kind, o.name, o.words) for o in found.objects]
    if others:
        stdout().print(table(["Kind", "Name", "Finding"], others))
    count = len(found.differences())
    say("Equal." if found.is_equal else f"{count} difference{'' if count == 1 else 's'}.")
