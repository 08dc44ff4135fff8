"""What a week leaves open: each question follows from a fact of the week, and proposes what could be agreed on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from services.alerts.model import Alert
from services.alerts.rules import rule_of
from services.review.actions import ActionItem
from services.review.figures import Figure
from services.review.model import DatabaseWeek, Question, ReviewedTest, StorageWeek
from services.review.wording import sentence
from services.schedules.outcomes import SlotOutcome
from services.settings.model import AlertSettings
from services.status import age, reasons_by_rule

SOON_FULL = 30
"""Days: a storage that would be full later than this is no question yet."""
NOTABLE_SECONDS = 10.0
"""A backup that took longer by less than this is no question, whatever the ratio."""


def open_questions(
    *,
    misses: Sequence[SlotOutcome],
    tests: Sequence[ReviewedTest],
    alerts: Iterable[Alert],
    databases: Iterable[DatabaseWeek],
    storages: Iterable[StorageWeek],
    actions: Iterable[ActionItem],
    limits: AlertSettings,
    until: datetime,
) -> tuple[Question, ...]:
    """Return the questions, those about single databases in the order of the facts above."""
    found = [*_of_misses(misses), *_of_tests(tests)]
    found += _of_databases(databases, limits, found)
    found += _of_storages(storages)
    found += _of_alerts(alerts, until, found)
    return (*found, *_of_actions(actions, until))


def _of_misses(misses: Sequence[SlotOutcome]) -> Iterable[Question]:
    by_cause: defaultdict[tuple[str | None, str], list[SlotOutcome]] = defaultdict(list)
    for outcome in misses:
        by_cause[outcome.slot.database, outcome.cause].append(outcome)
    for (database, cause), outcomes in by_cause.items():
        days = ", ".join(dict.fromkeys(f"{o.slot.due:%a} {o.slot.due.day} {o.slot.due:%b}" for o in outcomes))
        state = " and ".join(dict.fromkeys(o.state for o in outcomes))
        many = "Slots" if len(outcomes) > 1 else "The slot"
        were = "were" if len(outcomes) > 1 else "was"
        text = f"{many} of {database} on {days} {were} {state}. {sentence(cause)} What keeps it from happening again?"
        action = f"{database}: see to it that what happened on {days} does not happen again"
        yield Question(database, text, action, ("last_slot", "backup_run", "backup_age", "slots"))


def _of_tests(tests: Sequence[ReviewedTest]) -> Iterable[Question]:
    latest: dict[str, ReviewedTest] = {}
    for test in tests:
        if test.outcome != "not testable" or test.database not in latest:
            latest[test.database] = test
    for name, test in latest.items():
        if test.outcome == "failed":
            text = (
                f"The restore test of {test.backup_name} failed: {sentence(test.proof)} Which backup can be restored?"
            )
            action = f"{name}: test another backup, take a new one, and find out what is damaged"
            yield Question(name, text, action, _OF_PROOF)
        elif test.outcome == "not testable":
            text = f"{test.backup_name} could not be tested: {sentence(test.proof)} What does the test server lack?"
            yield Question(name, text, f"{name}: give the restore test server what it lacks", _OF_PROOF)


_OF_PROOF = ("proof_of_backups", "restore_test")


def _of_databases(
    databases: Iterable[DatabaseWeek], limits: AlertSettings, asked: Iterable[Question]
) -> list[Question]:
    said = {(question.database, check) for question in asked for check in question.checks}
    found = []
    for week in databases:
        name = week.database
        found += [question for question in _of_status(week) if not said & {(name, c) for c in question.checks}]
        grown = _ratio(week.duration)
        if grown is not None and grown > limits.duration_growth and _longer_by(week.duration) > NOTABLE_SECONDS:
            text = f"Backups of {name} took {week.duration.text}, {week.duration.against_mean.words}. Why?"
            found.append(Question(name, text, f"{name}: find out why its backups take so long", ("backup_duration",)))
        shrunk = _ratio(week.stored_size)
        if shrunk is not None and shrunk < 1 - limits.size_drop / 100:
            than = week.stored_size.against_mean.words
            text = f"The newest backup of {name} has {week.stored_size.text}, {than}. What is gone?"
            found.append(Question(name, text, f"{name}: compare its newest backup with an older one", ("backup_size",)))
    return found


_CHECKS_OF_RULE = {"last_good": ("backup_age",), "proof_of_backups": ("restore_test",)}


def _of_status(week: DatabaseWeek) -> Iterable[Question]:
    """Ask about each promise that was broken at the end of the week."""
    status = week.status
    if status is None or status.state == "PAUSED":
        return
    for rule, reason in reasons_by_rule(status.evidence, status.now).items():
        if reason.severity in ("failure", "warning"):
            text = f"{week.database}: {sentence(reason.text)} Who sees to it?"
            checks = (rule, *_CHECKS_OF_RULE.get(rule, ()))
            yield Question(week.database, text, f"{week.database}: {reason.hint or reason.text}", checks)


def _of_storages(storages: Iterable[StorageWeek]) -> Iterable[Question]:
    for storage in storages:
        days = storage.full_in_days
        if days is not None and days <= SOON_FULL:
            when = f"in about {days} {'day' if days == 1 else 'days'}" if days else "now"
            text = f"Storage {storage.name} is full {when} at this pace. Where does the rest go?"
            yield Question(None, text, f"Storage {storage.name}: make room, or raise its limit", ("storage_room",))


def _of_alerts(alerts: Iterable[Alert], until: datetime, asked: Iterable[Question]) -> list[Question]:
    said = {(question.database, check) for question in asked for check in question.checks}
    found = []
    for alert in alerts:
        unresolved = alert.resolved_at is None or alert.resolved_at >= until
        unseen = alert.acknowledged_at is None or alert.acknowledged_at >= until
        name = alert.subject.name if alert.subject.kind == "database" else None
        if unresolved and unseen and (name, alert.check) not in said:
            title = rule_of(alert.check).title
            about = f" ({alert.subject.name})" if alert.subject.name else ""
            text = f"“{title}”{about} has been open for {age(until - alert.opened_at)}. Who looks after it?"
            hint = alert.hint or "look after it, and acknowledge it"
            found.append(Question(name, text, f"{title}{about}: {hint}", (alert.check,)))
    return found


def _of_actions(actions: Iterable[ActionItem], until: datetime) -> Iterable[Question]:
    for item in actions:
        if item.is_overdue(until):
            who = item.owner or "nobody"
            text = f"“{item.text}” was due on {item.due:%d %b %Y} ({who}). What keeps it from being done?"
            yield Question(None, text, "")


def _ratio(figure: Figure) -> float | None:
    if figure.value is None or not figure.mean:
        return None
    return figure.value / figure.mean


def _longer_by(figure: Figure) -> float:
    return (figure.value or 0.0) - (figure.mean or 0.0)
