"""The weekly review: written in any form; its notes and its action items."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from services import commands
from services.cli.app import CommandGroup, app
from services.cli.output import note, say, stdout, table, write_json
from services.cli.session import AsJson, DatabaseOption, actor, opened
from services.commands.gate import entered
from services.errors import InputError
from services.installation import Installation
from services.review import actions as action_store
from services.review.actions import ActionItem
from services.review.week import Week
from services.stream.partial import new_file

_CONTEXT = {"help_option_names": ["-h", "--help"], "terminal_width": 100}
review = typer.Typer(cls=CommandGroup, rich_markup_mode=None, context_settings=_CONTEXT)
actions = typer.Typer(cls=CommandGroup, rich_markup_mode=None, context_settings=_CONTEXT)
app.add_typer(review, name="review", help="Review a week: show it, export it, and write down what came of it.")
review.add_typer(actions, name="actions", help="List, add and tick off action items.")

Form = Literal["text", "json", "md", "html", "pdf"]
WeekOption = Annotated[
    str | None,
    typer.Option("--week", "-w", metavar="WEEK", help="2026-W46, this or last. Default: the last one that has ended."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A file that does not exist yet.")]
Due = Annotated[str | None, typer.Option("--due", metavar="DAY", help="Until when: 2026-11-20.")]


@review.callback(invoke_without_command=True)
def show(
    context: typer.Context,
    week: WeekOption = None,
    form: Annotated[Form, typer.Option("--format", "-f", help="How it is written.")] = "text",
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Review a week: slots, figures against last week and the four before, proofs, alerts, failures, what is due."""
    if context.invoked_subcommand is not None:
        if week is not None or output is not None or as_json or form != "text":
            raise InputError(
                "Options of `backups review` do not hold for its commands.",
                hint=f"Write them behind: backups review {context.invoked_subcommand} --help.",
            )
        return
    if as_json and form not in ("text", "json"):
        raise InputError(f"--json and --format {form} exclude each other.", hint="Give one of them.")
    wanted: Form = "json" if as_json else form
    if wanted == "pdf" and output is None and sys.stdout.isatty():
        raise InputError("A PDF is not for a terminal.", hint="Give it a file: --output review.pdf.")
    # Imported here, as in the commands below: no other command needs to wait for it.
    from services.cli.review_text import write_review
    from services.review.gather import load_review

    with opened(quiet=wanted != "text") as installation:
        found = load_review(installation, _week(installation, week))
        if output is not None or wanted != "text":
            what = {"file": f"review {found.week.label} as {wanted}"}
            with entered(installation, "export", actor=actor(), arguments=what):
                pass  # what follows writes what was read
    if output is None:
        write_review(found, wanted, sys.stdout.buffer)
        return
    with new_file(output) as file:
        write_review(found, wanted, file)
    note(f"Wrote {output}.")


@review.command("note")
def write_note(
    text: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="What is to be remembered.")] = None,
    week: WeekOption = None,
    database: DatabaseOption = None,
    edit: Annotated[str | None, typer.Option("--edit", metavar="NOTE", help="Replace what this note says.")] = None,
    withdraw: Annotated[str | None, typer.Option("--withdraw", metavar="NOTE", help="Take this note out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a note on a week, or change one; what a note said before is kept."""
    if edit is not None and withdraw is not None:
        raise InputError("--edit and --withdraw exclude each other.", hint="Give one of them.")
    if (edit or withdraw) and (week is not None or database is not None):
        raise InputError("A note stays with its week and database.", hint="Withdraw it, and write it anew.")
    if (text is None) == (withdraw is None):
        raise InputError("Give either a text or a note to withdraw.", hint="See `backups review note --help`.")
    with opened(quiet=as_json) as installation:
        if withdraw is not None:
            found = commands.withdraw_review_note(installation, withdraw, actor=actor())
        elif edit is not None:
            found = commands.edit_review_note(installation, edit, text or "", actor=actor())
        else:
            label = _week(installation, week).label
            found = commands.write_review_note(installation, label, text or "", database=database, actor=actor())
    if as_json:
        from services.review.forms import note_form

        write_json(note_form(found))
    else:
        done = "withdrawn" if withdraw else "changed" if edit else "noted"
        say(f"{found.id}: {done}, {found.week}{f', {found.database}' if found.database else ''}.")


@actions.callback(invoke_without_command=True)
def list_actions(context: typer.Context, as_json: AsJson = False) -> None:
    """List the open action items, those that are due first."""
    if context.invoked_subcommand is not None:
        return
    with opened(quiet=as_json) as installation:
        found = action_store.open_actions(installation.catalog.engine)
        today = installation.clock().date()
    if as_json:
        from services.review.forms import action_forms

        write_json(action_forms(found))
    elif not found:
        say("No action item is open.")
    else:
        rows = [[item.id, item.week, item.text, item.owner or "nobody yet", _due(item, today)] for item in found]
        stdout().print(table(["Item", "From", "What", "Owner", "Due"], rows, whole=["Item", "From", "Due"]))


@actions.command("add")
def add_action(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be done.")],
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help="Who does it.")] = "",
    due: Due = None,
    week: WeekOption = None,
    as_json: AsJson = False,
) -> None:
    """Add an action item to the review of a week; it is carried over until it is done."""
    with opened(quiet=as_json) as installation:
        label = _week(installation, week).label
        found = commands.add_action_item(
            installation, label, text, owner=owner, due=_day(due), actor=actor()
        )  # fmt: skip
    _answer(found, "added", as_json=as_json)


@actions.command("done")
def finish_action(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Its id, as the list says it.")],
    text: Annotated[str, typer.Option("--note", "-n", help="What came of it.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="It is not done after all.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tick an action item off."""
    if undo and text:
        raise InputError("--undo takes no note.", hint="Leave one of them out.")
    with opened(quiet=as_json) as installation:
        if undo:
            found = commands.reopen_action_item(installation, item, actor=actor())
        else:
            found = commands.complete_action_item(installation, item, note=text, actor=actor())
    _answer(found, "open again" if undo else "done", as_json=as_json)


@actions.command("change")
def change_action(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Its id, as the list says it.")],
    owner: Annotated[str | None, typer.Option("--owner", metavar="NAME", help="Who does it now.")] = None,
    due: Due = None,
    as_json: AsJson = False,
) -> None:
    """Give an open action item another owner or day."""
    if owner is None and due is None:
        raise InputError("Nothing is to be changed.", hint="Give --owner or --due.")
    with opened(quiet=as_json) as installation:
        known = action_store.get_action(installation.catalog.engine, item)
        found = commands.change_action_item(
            installation,
            item,
            owner=known.owner if owner is None else owner,
            due=known.due if due is None else _day(due),
            actor=actor(),
        )
    _answer(found, "changed", as_json=as_json)


def _week(installation: Installation, text: str | None) -> Week:
    from services.review.gather import choose_week

    return choose_week(installation, text)


def _answer(item: ActionItem, what: str, *, as_json: bool) -> None:
    if as_json:
        from services.review.forms import action_forms

        write_json(action_forms([item])[0])
    else:
        say(f"{item.id}: {what}, {item.week}.")


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text[:40]!r} is no day.", hint="Write it as 2026-11-20.") from error


def _due(item: ActionItem, today: date) -> str:
    if item.due is None:
        return "–"
    return f"{item.due} (overdue)" if item.due < today else str(item.due)
