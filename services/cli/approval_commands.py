"""``backups approvals``: what waits for a second person, and deciding it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services import commands
from services.approvals.exactly import Exactly, exactly
from services.catalog.approvals import Approval
from services.cli.app import CommandGroup, app
from services.cli.forms import run_form
from services.cli.output import instant, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, actor, opened
from services.clock import isoformat
from services.units import format_bytes

approvals = typer.Typer(
    cls=CommandGroup,
    help="Two persons: what one asked for and another has to approve (docs/credentials.md).",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
app.add_typer(approvals, name="approvals")

Request = Annotated[str, typer.Argument(metavar="REQUEST", help="Its id, as `backups approvals list` shows it.")]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Recorded with the decision.")]


@approvals.command("list")
def list_approvals(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are decided or expired.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what waits for a second person, the oldest first, with every backup that it is about."""
    with opened(quiet=as_json) as installation:
        now, store = installation.clock(), installation.catalog.approvals
        found = store.list() if everything else store.waiting(now)
        about = {one.id: exactly(installation, one) for one in found}
    if as_json:
        write_json([_form(one, about[one.id]) | {"state": one.state_at(now)} for one in found])
    elif found:
        rows = [(one.id, one.summary, one.asked_by, instant(one.expires_at), one.state_at(now)) for one in found]
        stdout().print(table(["Request", "What", "Asked by", "Until (UTC)", "State"], rows, whole=["Request"]))
        for one in found:
            if one.state_at(now) == "waiting":
                say("")
                say(f"{one.id}: {one.summary}")
                _tell(about[one.id])
    else:
        say("Nothing waits for a second person.")


def _tell(about: Exactly) -> None:
    """Print what a wish is about: no name is left out, since the second person answers for each."""
    for name, value in about.options.items():
        say(f"  {name.replace('_', ' ')}: {value}")
    for each in about.backups:
        marks = f"{', pinned' if each.pinned else ''}{'' if each.state == 'finished' else f', {each.state}'}"
        said = f"{each.database}, finished {instant(each.finished_at)} UTC, " if each.finished_at else ""
        say(f"  {each.name}: {said}{format_bytes(each.bytes)}{marks}")
    say(f"  In all {about.total}.")


def _form(one: Approval, about: Exactly) -> dict[str, Any]:
    return {
        "id": one.id,
        "rule": one.rule,
        "kind": one.kind,
        "database": one.database,
        "summary": one.summary,
        "asked_by": one.asked_by,
        "reason": one.reason,
        "asked_at": isoformat(one.asked_at),
        "expires_at": isoformat(one.expires_at),
        "decided_by": one.decided_by,
        "decided_at": isoformat(one.decided_at),
        "note": one.note,
        "run_id": one.run_id,
        "params": one.params,
        "bytes": about.bytes,
        "backups": [
            {
                "backup_id": each.id,
                "backup": each.name,
                "database": each.database,
                "type": each.type,
                "finished_at": isoformat(each.finished_at),
                "bytes": each.bytes,
                "pinned": each.pinned,
                "state": each.state,
            }
            for each in about.backups
        ],
    }


@approvals.command()
def approve(
    request: Request,
    note: Note = "",
    queue: Queue = False,
    wait: Wait = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Approve what somebody else asked for; it starts at once, as it was asked for, and says what that is."""
    with opened(quiet=as_json) as installation:
        if not (quiet or as_json):
            wish = installation.catalog.approvals.get(request)
            say(f"{wish.summary}, asked for by {wish.asked_by}:")
            _tell(exactly(installation, wish))
        run = carry_out(
            installation,
            lambda queued: commands.approve_request(installation, request, actor=actor(), note=note, queue=queued),
            Mode(queue, wait, quiet, as_json),
        )
    if run is None:
        return
    if as_json:
        write_json(run_form(run))
    fail_unless_finished(run)
    if not as_json:
        say(f"Approved, and done: run {run.id}.")


@approvals.command()
def reject(request: Request, note: Note = "") -> None:
    """Reject what somebody asked for, or withdraw what you asked for yourself."""
    with opened() as installation:
        rejected = commands.reject_request(installation, request, actor=actor(), note=note)
    say(f"Rejected: {rejected.summary}.")
