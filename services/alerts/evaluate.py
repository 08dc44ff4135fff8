"""Looking at the checks and writing what becomes of the alerts, with the messages about it, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from services.alerts.corruption import start_new_backups
from services.alerts.decide import Transition, decide
from services.alerts.messages import write_digest, write_message
from services.alerts.model import Alert
from services.alerts.neighbours import verify_neighbours
from services.alerts.store import add_alert, change_alert, open_alerts
from services.catalog.duties import begin_duty, claim_duty
from services.health.checks import apply_rules
from services.health.facts import gather
from services.health.model import WORST_FIRST, HealthCheck, HealthReport
from services.installation import Installation
from services.notify.channels import channel_labels
from services.notify.outbox import Event, add_messages

DUTY = "alerts"
EVERY = timedelta(seconds=45)
"""Below the minute at which workers and the dashboard ask, so that one of them is always let."""
EACH_ON_ITS_OWN = 5
"""More alerts than this at the same moment are told of in one message."""
_EVENTS: dict[str, Event] = {"open": "opened", "worse": "worse", "remind": "reminder", "resolve": "resolved"}


@dataclass(frozen=True)
class Evaluation:
    """What one look did."""

    report: HealthReport
    transitions: tuple[Transition, ...]


def evaluate(installation: Installation, *, by: str, force: bool = False) -> Evaluation | None:
    """Look at the checks once and bring the alerts up to date; None when another process has just done so.

    With ``force`` it is done in any case. Raise sqlalchemy's SQLAlchemyError and ConnectionFailed when the catalogue
    does not answer: then there is nowhere to write, and the outside watchdog is what tells people.
    """
    engine = installation.catalog.engine
    every = timedelta(0) if force else EVERY
    if not claim_duty(engine, DUTY, by=by, every=every, now=installation.clock()) and not force:
        return None
    facts = gather(installation)
    report = apply_rules(facts)
    started, beside = start_new_backups(installation, facts.now), verify_neighbours(installation, facts.now)
    actions = {
        database: " ".join(said[database] for said in (started, beside) if database in said)
        for database in started.keys() | beside.keys()
    }
    return Evaluation(report, apply(installation, report, actions))


def apply(installation: Installation, report: HealthReport, actions: Mapping[str, str]) -> tuple[Transition, ...]:
    """Bring the alerts up to date with a report, and write the messages. One transaction; two never overlap.

    ``actions`` says what was done by itself about damaged backups, by database.
    """
    limits = installation.settings.alerts
    with installation.catalog.engine.begin() as connection:
        if not begin_duty(connection, DUTY, report.at):
            return ()  # somebody else has looked later than we did
        steps = decide(
            report.checks, open_alerts(connection), report.at, remind_after=limits.remind_after, hold=limits.hold
        )
        told = [
            (alert, _EVENTS[step.step])
            for step in steps
            for alert in [_take(connection, step, report.at, actions)]
            if step.tells
        ]
        _tell(installation, connection, told, report.at)
    return tuple(steps)


def _take(connection: sa.Connection, step: Transition, now: datetime, actions: Mapping[str, str]) -> Alert:
    """Write one step and return its alert as it is then."""
    if step.alert is None:
        assert step.check is not None, "only a check opens an alert"
        return add_alert(connection, step.check, now, action=_action(step.check, actions))
    return change_alert(connection, step.alert, **_changes(step, step.alert, now, actions))


def _tell(
    installation: Installation, connection: sa.Connection, told: Sequence[tuple[Alert, Event]], now: datetime
) -> None:
    """Write a message for each, or one for all: a server that is away must not fill twenty mailboxes."""
    channels = channel_labels(installation.settings.alerts)
    if len(told) > EACH_ON_ITS_OWN:
        told = sorted(told, key=lambda each: (each[1] == "resolved", WORST_FIRST.index(each[0].severity)))
        text, (worst, event) = write_digest(told, installation.settings, now), told[0]
        severity = "ok" if event == "resolved" else worst.severity
        add_messages(
            connection, channels, alert_id=None, event="several", number=0, severity=severity, subject=text.subject,
            body=text.body, now=now,
        )  # fmt: skip
        return
    for alert, event in told:
        text = write_message(alert, event, installation.settings, now)
        add_messages(
            connection, channels, alert_id=alert.id, event=event, number=alert.messages, severity=alert.severity,
            subject=text.subject, body=text.body, now=now,
        )  # fmt: skip


def _changes(step: Transition, alert: Alert, now: datetime, actions: Mapping[str, str]) -> dict[str, object]:
    if step.step == "well":
        return {"well_since": now}
    if step.step == "resolve":
        said = "Nobody checks this any more: taken out of the settings, or paused."
        resolution = f"Well again: {step.check.sentence}" if step.check is not None else said
        return {"resolved_at": now, "resolution": resolution, "messages": alert.messages + 1, "notified_at": now}
    assert step.check is not None, "what fires has a check"
    changes: dict[str, object] = {
        "sentence": step.check.sentence, "hint": step.check.hint, "severity": step.check.severity,
        # The most that was told of: what goes down and up again is no news.
        "count": max(alert.count, step.check.count), "well_since": None,
    }  # fmt: skip
    if action := _action(step.check, actions):
        changes["action"] = action
    if step.step == "worse":
        changes |= {"acknowledged_at": None, "acknowledged_by": None, "note": ""}
    if step.tells:
        changes |= {"notified_at": now, "messages": alert.messages + 1}
    return changes


def _action(check: HealthCheck, actions: Mapping[str, str]) -> str:
    about = check.name in ("corruption", "copies", "verification") and check.subject.kind == "database"
    return actions.get(check.subject.name, "") if about else ""
