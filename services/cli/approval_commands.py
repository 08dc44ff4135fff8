"""``backups approvals``: what waits for a second person, and deciding it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from services import commands
from services.catalog.approvals import Approval
from services.cli.app import CommandGroup, app
from services.cli.forms import run_form
from services.cli.output import instant, say, stdout, table, write_json
from services.cli.running import Mode, Queue, Quiet, Wait, carry_out, fail_unless_finished
from services.cli.session import AsJson, actor, opened
from services.clock import isoformat

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
    """List what waits for a second person, the oldest first."""
    with opened(quiet=as_json) as installation:
        now, store = installation.clock(), installation.catalog.approvals
        found = store.list() if everything else store.waiting(now)
    if as_json:
        write_json([_form(one) | {"state": one.state_at(now)} for one in found])
    elif found:
        rows = [(one.id, one.summary, one.asked_by, instant(one.expires_at), one.state_at(now)) for one in found]
        stdout().print(table(["Request", "What", "Asked by", "Until (UTC)", "State"], rows, whole=["Request"]))
    else:
        say("Nothing waits for a second person.")


def _form(one: Approval) -> dict[str, Any]:
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
    """Approve what somebody else asked for; it starts at once, as it was asked for."""
    with opened(quiet=as_json) as installation:
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
