"""Looking after the installation: doctor, rebuild, janitor."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from services import commands
from services.cli.app import app
from services.cli.output import note, printable, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, actor, opened
from services.commands.gate import entered
from services.doctor import Diagnosis, examine
from services.units import format_bytes

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check the whole installation live. Exit code: 0 all well, 1 warnings, 2 something failed."""
    found = examine()
    if as_json:
        write_json([{"name": d.name, "result": d.result, "message": d.message, "hint": d.hint} for d in found])
    else:
        _draw(found)
    results = {d.result for d in found}
    raise typer.Exit(2 if "failed" in results else 1 if "warning" in results else 0)


def _draw(found: list[Diagnosis]) -> None:
    drawn = table(["Check", "", "Finding"], [])
    for each in found:
        words = each.message if each.result == "ok" else f"{each.message} {each.hint}".strip()
        drawn.add_row(Text(printable(each.name)), Text(each.result, style=_STYLES[each.result]), Text(printable(words)))
    stdout().print(drawn)


@app.command()
def rebuild(as_json: AsJson = False) -> None:
    """Restore the catalogue from what the storages hold.

    Exit code: 1 when some of it cannot be believed or read, or nothing is there at all.
    """
    from services.backups.rebuild import rebuild as rebuild_catalog

    with opened(quiet=as_json) as installation, entered(installation, "catalog.rebuild", actor=actor()):
        report = rebuild_catalog(installation)
    if as_json:
        write_json(report.to_json())
    else:
        say(f"{report.backups:,} backups and {report.verifications:,} verifications were read from the storages.")
        for name in report.untrusted:
            note(f"Untrusted signature: {name}", style="yellow")
        if report.unsigned:
            shown = ", ".join(report.unsigned[:5]) + (" …" if len(report.unsigned) > 5 else "")
            note(
                f"Without a signature, though this installation signs: {len(report.unsigned)} ({shown})", style="yellow"
            )
        for line in report.incomplete:
            note(f"Incomplete: {line}", style="yellow")
        for name in report.half_deleted:
            note(f"Half deleted: {name}; the next `backups cleanup --apply` ends it", style="yellow")
        for name in report.empty:
            url = installation.settings.storage(name).url
            note(f"No manifest is in storage {name}: {url}. Is it the right folder or bucket?", style="yellow")
        for line in report.unreadable:
            note(f"Unreadable: {line}", style="red")
    raise typer.Exit(0 if report.is_well else 1)


@app.command("forget-storage")
def forget_storage(
    storage: Annotated[str, typer.Argument(metavar="STORAGE", help="One that the settings do not name any more.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit log.")] = "",
    as_json: AsJson = False,
) -> None:
    """Give up what lies in a storage that was taken out of the settings. No file is deleted.

    Backups that lie nowhere else have expired from then on. Named again, `backups rebuild` finds them again.
    """
    with opened(quiet=as_json) as installation:
        given_up, gone = commands.forget_storage(installation, storage, actor=actor(), reason=reason)
    if as_json:
        write_json({"storage": storage, "copies": given_up, "backups": gone})
        return
    copies = "1 copy" if given_up == 1 else f"{given_up:,} copies"
    say(f"Forgotten: {copies} in {storage}; of {gone:,} of these backups that was the last one. No file was deleted.")


@app.command()
def janitor(
    apply: Annotated[
        bool, typer.Option("--apply", help="Remove what is older than a day; otherwise only look.")
    ] = False,
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Look for leftovers on every storage: objects without a manifest, unfinished uploads.

    With --apply, scratch databases of runs that are over are dropped, too. Exit code: 1 when something of it failed.
    """
    with opened(quiet=as_json) as installation:
        run = carry_out(
            installation,
            lambda queued: commands.submit_janitor(installation, apply=apply, actor=actor(), queue=queued),
            Mode(queue, wait, quiet, as_json),
        )
    if run is None:
        return
    fail_unless_finished(run)
    found = run.result
    if as_json:
        write_json(found)
    else:
        rows = [("object without manifest", where) for where in found["orphans"]]
        rows += [("unfinished upload", where) for where in found["unfinished_uploads"]]
        rows += [("scratch database, dropped", where) for where in found["scratch_databases"]]
        if rows:
            stdout().print(table(["Leftover", "Where"], rows))
        say(
            f"Removed {len(found['removed'])} ({format_bytes(found['removed_bytes'])})."
            if apply
            else f"{len(rows)} found."
        )
        for line in found["failed"]:
            note(line, style="bold red")
    raise typer.Exit(1 if found["failed"] else 0)
