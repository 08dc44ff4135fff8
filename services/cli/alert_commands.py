"""Alerts: what is wrong now, what was, who looks after it, and whether the channels work."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from services import commands
from services.alerts.evaluate import evaluate
from services.alerts.model import Alert
from services.alerts.rules import rule_of
from services.alerts.store import HistoryQuery, history, open_alerts
from services.cli.app import CommandGroup, app
from services.cli.output import instant, note, printable, say, stdout, table, write_json
from services.cli.session import AsJson, DatabaseOption, actor, opened
from services.clock import isoformat
from services.commands.gate import entered
from services.health.model import join_sentences
from services.health.nagios import EXIT_CODES
from services.notify.deliver import deliver_due
from services.status import age

alert = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": 100},
)
app.add_typer(alert, name="alert", help="See, acknowledge and test alerts.")

_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red", "unknown": "magenta"}


@alert.command("list")
def list_alerts(as_json: AsJson = False) -> None:
    """List the open alerts, worst first. Exit code: 0 none, 1 warnings, 2 failures, 3 unknown."""
    with opened(quiet=as_json) as installation:
        found = open_alerts(installation.catalog.engine)
        now = installation.clock()
    if as_json:
        write_json([_form(each) for each in found])
    elif not found:
        say("No alert is open.")
    else:
        drawn = table(["Alert", "", "About", "What", "Open for"], [])
        for each in found:
            what = f"{rule_of(each.check).title}: {join_sentences(each.sentence, each.hint)}"
            if each.is_acknowledged:
                what += f" (acknowledged by {each.acknowledged_by}: {each.note})"
            severity = Text(each.severity, style=_STYLES[each.severity])
            drawn.add_row(each.id, severity, Text(printable(str(each.subject))), Text(printable(what)),
                          age(now - each.opened_at))  # fmt: skip
        stdout().print(drawn)
    raise typer.Exit(EXIT_CODES[found[0].severity] if found else 0)


@alert.command("ack")
def acknowledge(
    alert_id: Annotated[str, typer.Argument(metavar="ALERT", help="Its id, as the message and the list say it.")],
    text: Annotated[str, typer.Option("--note", "-n", help="Who does what about it, and until when.")],
    as_json: AsJson = False,
) -> None:
    """Say that somebody looks after it: it is said again only when it gets worse, and when it resolves."""
    with opened(quiet=as_json) as installation:
        found = commands.acknowledge_alert(installation, alert_id, note=text, actor=actor())
    if as_json:
        write_json(_form(found))
    else:
        say(f"Acknowledged: {rule_of(found.check).title}, {found.subject}.")


@alert.command("test")
def try_channels(as_json: AsJson = False) -> None:
    """Send a message to each channel and say what each answered. Exit code: 0 all took it, 2 otherwise."""
    with opened(quiet=as_json) as installation:
        found = commands.send_test_messages(installation, actor=actor())
    if as_json:
        write_json([
            {"channel": t.channel, "accepted": t.accepted, "error": t.error or None, "seconds": round(t.seconds, 3)}
            for t in found
        ])  # fmt: skip
    else:
        for each in found:
            answer = f"took it ({each.seconds:.1f} s)" if each.accepted else f"did not take it: {each.error}"
            say(f"{each.channel}: {answer}", style="green" if each.accepted else "bold red")
    raise typer.Exit(0 if all(each.accepted for each in found) else 2)


@alert.command("history")
def list_history(
    database: DatabaseOption = None,
    last: Annotated[int, typer.Option("--last", min=1, metavar="N", help="The newest N.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List alerts that were opened, the newest first."""
    with opened(quiet=as_json) as installation:
        if database is not None:
            installation.settings.database(database)
        found = history(installation.catalog.engine, HistoryQuery(database=database, limit=last))
        now = installation.clock()
    if as_json:
        write_json([_form(each) for each in found])
        return
    if not found:
        say("No alert was ever opened.")
        return
    rows = [
        (
            each.id,
            instant(each.opened_at),
            "open" if each.resolved_at is None else instant(each.resolved_at),
            age((each.resolved_at or now) - each.opened_at),
            str(each.subject),
            f"{rule_of(each.check).title}: {each.sentence}",
        )
        for each in found
    ]
    columns = ["Alert", "Opened (UTC)", "Resolved (UTC)", "Lasted", "About", "What"]
    stdout().print(table(columns, rows, whole=["Alert"]))


@alert.command("check")
def check_now(as_json: AsJson = False) -> None:
    """Look at all checks and deliver what waits, once: what a worker does each minute. For cron, without a worker."""
    with opened(quiet=as_json) as installation, entered(installation, "alert.test", actor=actor()):
        done = evaluate(installation, by=actor(), force=True)
        sent = deliver_due(installation)
        assert done is not None, "forced"
        steps = [step for step in done.transitions if step.tells]
    if as_json:
        write_json({
            "transitions": [{"step": s.step, "key": (s.check or s.alert).key} for s in steps],  # type: ignore[union-attr]
            "sent": sent.sent, "failed": sent.failed,
        })  # fmt: skip
        return
    for step in steps:
        about = step.check or step.alert
        assert about is not None, "a step is about something"
        say(f"{step.step}: {about.key}")
    say(f"{sent.sent} messages sent.")
    if sent.failed:
        note(f"{sent.failed} channels did not take theirs; they wait. See `backups alert test`.", style="bold red")


def _form(found: Alert) -> dict[str, Any]:
    return {
        "id": found.id,
        "key": found.key,
        "check": found.check,
        "title": rule_of(found.check).title,
        "subject": {"kind": found.subject.kind, "name": found.subject.name},
        "severity": found.severity,
        "sentence": found.sentence,
        "hint": found.hint,
        "action": found.action or None,
        "since": isoformat(found.since),
        "opened_at": isoformat(found.opened_at),
        "notified_at": isoformat(found.notified_at),
        "messages": found.messages,
        "acknowledged_at": isoformat(found.acknowledged_at),
        "acknowledged_by": found.acknowledged_by,
        "note": found.note or None,
        "resolved_at": isoformat(found.resolved_at),
        "resolution": found.resolution or None,
    }
