"""What goes and what stays: cleanup, delete, pin, unpin."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from services import commands
from services.catalog.model import Backup, Run
from services.cli.ages import age_of
from services.cli.app import app
from services.cli.inventory_commands import OlderThan
from services.cli.output import instant, note, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, DatabaseOption, actor, opened
from services.clock import isoformat, parse_instant
from services.errors import InputError
from services.installation import Installation
from services.jobs.kept_versions import kept_words
from services.retention.by_hand import Choice, check_deletable, choose_older
from services.retention.early import early_deletion_note
from services.retention.pins import store_waiting_pins
from services.retention.plans import PlannedBackup, load_decisions, load_plans, total_bytes
from services.retention.words import GOING_WORDS, REASON_WORDS
from services.units import format_bytes

PARTLY_FAILED = 1


@app.command()
def cleanup(
    database: DatabaseOption = None,
    apply: Annotated[bool, typer.Option("--apply", help="Delete; otherwise only say what would go.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded with each deletion.")] = "",
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Say what the retention policy does not keep; with --apply, delete it from every storage.

    Exit code: 1 when some of it could not be deleted. It stays listed, says so, and is tried again.
    """
    with opened(quiet=as_json) as installation:
        run = carry_out(
            installation,
            lambda queued: commands.submit_cleanup(
                installation, database=database, apply=apply, actor=actor(), reason=reason, queue=queued
            ),
            Mode(queue, wait, quiet, as_json),
        )
        if run is not None and not apply:
            _note_cost(installation, [item["id"] for item in run.result.get("items", [])], as_json=as_json)
    if run is not None:
        _report(run, as_json=as_json)


@app.command()
def delete(
    backup: Annotated[str | None, typer.Argument(metavar="[BACKUP]", help="Name or id.", show_default=False)] = None,
    older_than: OlderThan = None,
    database: DatabaseOption = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Delete; otherwise the list is shown, and refused.")
    ] = False,
    force: Annotated[
        str,
        typer.Option(
            "--force", metavar="REASON", help="Why the newest good ones and the newest proven one may go, too."
        ),
    ] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded with each deletion.")] = "",
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Delete one backup, or all that are older than an age, whatever tier keeps them; only with --confirm.

    A pinned backup is never deleted; nor, without --force, the newest good ones and the newest proven one. Exit code:
    1 when some of it could not be deleted, 2 without --confirm.
    """
    if (backup is None) == (older_than is None):
        raise InputError("Delete what?", hint="Name one backup, or give an age: --older-than 30d.")
    forced = bool(force.strip())
    with opened(quiet=as_json) as installation:
        if database is not None:
            installation.settings.database(database)
        if older_than is not None:
            than = installation.clock() - age_of(older_than)
            choice = choose_older(load_plans(installation, database and [database]), than, forced=forced)
        else:
            choice, database = _named(installation, backup or "", database, forced=forced)
        if not confirm:
            _show_choice(choice, as_json=as_json)
            _note_cost(installation, [chosen.id for chosen in choice.going], as_json=as_json)
            raise InputError("Nothing was deleted: this needs --confirm.", hint="Review the list, then repeat it so.")
        if not choice.going:
            _show_choice(choice, as_json=as_json)
            return
        run = carry_out(
            installation,
            lambda queued: commands.submit_deletion(
                installation,
                [chosen.id for chosen in choice.going],
                database=database,
                force_reason=force,
                actor=actor(),
                reason=reason,
                queue=queued,
            ),
            Mode(queue, wait, quiet, as_json),
        )
    if run is not None:
        _report(run, as_json=as_json)


@app.command()
def pin(
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="Name or id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is shown beside the pin.")] = "",
    database: DatabaseOption = None,
) -> None:
    """Pin a backup: no policy deletes it, and nobody can by hand, until it is unpinned."""
    _set_pin(backup, database, pinned=True, reason=reason)


@app.command()
def unpin(
    backup: Annotated[str, typer.Argument(metavar="BACKUP", help="Name or id.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")] = "",
    database: DatabaseOption = None,
) -> None:
    """Take a backup's pin away: from now on the policy decides."""
    _set_pin(backup, database, pinned=False, reason=reason)


def _set_pin(text: str, database: str | None, *, pinned: bool, reason: str) -> None:
    with opened() as installation:
        chosen = installation.catalog.backups.find(text, database=database)
        commands.set_pin(installation, chosen.id, pinned=pinned, actor=actor(), reason=reason)
        problems = store_waiting_pins(installation)
        say(_pin_words(installation, chosen, pinned=pinned, reason=reason))
    for problem in problems:
        note(problem, style="yellow")


def _pin_words(installation: Installation, before: Backup, *, pinned: bool, reason: str) -> str:
    """Say what a pin, or its end, changed: nothing perhaps; and who decides about the backup now."""
    name = before.name
    if pinned:
        if before.pinned:
            return f"{name} was pinned already{f'; its reason is now: {reason}' if reason else ''}."
        return f"{name} is pinned: no policy deletes it, and nobody can by hand, until it is unpinned."
    if not before.pinned:
        return f"{name} was not pinned; nothing has changed."
    decision = load_decisions(installation, [before.database]).get(before.id)
    if decision is None:
        return f"{name} is not pinned any more. Its database has no policy, so nothing deletes it by itself."
    if not decision.keep:
        return f"{name} is not pinned any more, and nothing else keeps it: the next cleanup deletes it."
    why = ", ".join(REASON_WORDS[each] for each in decision.reasons)
    return f"{name} is not pinned any more. The policy keeps it still: {why}."


def _named(installation: Installation, text: str, database: str | None, *, forced: bool) -> tuple[Choice, str]:
    """Return the one backup that is named, and its database. Raise UnknownName, InputError when it may not go."""
    found = installation.catalog.backups.find(text, database=database)
    if found.state == "expired":
        raise InputError(f"{found.name} has expired; it was deleted already.", hint="See `backups list`.")
    [planned] = load_plans(installation, [installation.settings.database(found.database).name])
    chosen = next(backup for backup in planned.backups if backup.id == found.id)
    check_deletable(chosen, planned.policy.minimum, forced=forced)
    return Choice((chosen,), ()), found.database


def _show_choice(choice: Choice, *, as_json: bool) -> None:
    if as_json:
        write_json(
            {
                "deleted": 0,
                "would_delete": [_planned_form(backup) for backup in choice.going],
                "spared": [_planned_form(backup) | {"because": why} for backup, why in choice.spared],
            }
        )
        return
    listed = [(backup, Text("goes", style="yellow")) for backup in choice.going]
    listed += [(backup, Text(f"spared: {why}", style="green")) for backup, why in choice.spared]
    rows = [
        (
            backup.name,
            backup.candidate.database,
            instant(backup.finished_at),
            format_bytes(backup.candidate.bytes),
            ", ".join(backup.decision.tiers) or "–",
            word,
        )
        for backup, word in sorted(listed, key=lambda each: each[0].finished_at)
    ]
    if rows:
        columns = ["Backup", "Database", "Finished (UTC)", "Stored", "Tiers", ""]
        stdout().print(table(columns, rows, right=["Stored"]))
    say(f"{len(choice.going):,} to delete, {format_bytes(total_bytes(choice.going))}; {len(choice.spared):,} spared.")


def _note_cost(installation: Installation, backup_ids: list[str], *, as_json: bool) -> None:
    """Say what is billed for copies in cold storage that are deleted early."""
    if not as_json and (cost := early_deletion_note(installation, backup_ids)):
        say(cost)


def _planned_form(backup: PlannedBackup) -> dict[str, Any]:
    return {
        "id": backup.id,
        "name": backup.name,
        "database": backup.candidate.database,
        "type": backup.candidate.type,
        "finished_at": isoformat(backup.finished_at),
        "bytes": backup.candidate.bytes,
        "tiers": list(backup.decision.tiers),
    }


def _report(run: Run, *, as_json: bool) -> None:
    """Say how a cleanup ended. Exits with 1 when some of it failed."""
    fail_unless_finished(run)
    found = run.result
    if as_json:
        write_json(found)
    else:
        if older := found.get("older_versions_in"):
            note(kept_words(older), style="yellow")
        items = found["items"]
        if items:
            rows = [
                (
                    item["name"],
                    item["database"],
                    instant(parse_instant(item["finished_at"])),
                    format_bytes(item["bytes"]),
                    GOING_WORDS.get(item["why"], item["why"]),
                    " ".join(part for part in (item["outcome"], item["error"]) if part),
                )
                for item in items
            ]
            columns = ["Backup", "Database", "Finished (UTC)", "Stored", "Because", ""]
            stdout().print(table(columns, rows, right=["Stored"]))
        if found["backups"] > len(items):
            say(f"… and {found['backups'] - len(items):,} more.")
        say(found["reason"])
        if not found["applied"] and items:
            note("A dry run: nothing was deleted. `backups cleanup --apply` deletes.")
    raise typer.Exit(PARTLY_FAILED if found["failed"] else 0)
