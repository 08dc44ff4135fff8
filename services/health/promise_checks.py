"""What is checked of the promise itself: the slots of the backup schedules, and the budget of misses."""

from __future__ import annotations

from collections.abc import Iterator

from services.health.facts import Facts
from services.health.model import HealthCheck, Measure, Severity, Subject
from services.status import reasons_by_rule


def slot(facts: Facts) -> Iterator[HealthCheck]:
    """Was the last slot of which it is known how it ended satisfied within its deadline?"""
    for status in facts.watched:
        last = status.evidence.last_slot
        reason = reasons_by_rule(status.evidence, facts.now).get("last_slot")
        if last is None or reason is None:
            continue  # no schedule, or none that was due yet: what it lacks is said by `backup_age`
        severity: Severity = "warning" if last.is_miss else "ok"
        since = last.slot.due + last.slot.deadline if last.is_miss else last.finished_at
        yield HealthCheck("slot", Subject("database", status.database), severity, reason.text, reason.hint, since)


def budget(facts: Facts) -> Iterator[HealthCheck]:
    """Are the misses of the last thirty days within what the service level allows?"""
    watched = {status.database for status in facts.watched}
    for database in facts.slo.databases:
        tally = database.tally
        if database.database not in watched or not tally.slots:
            continue
        severity: Severity = "ok" if tally.is_kept else "warning"
        yield HealthCheck(
            "budget",
            Subject("database", database.database),
            severity,
            f"{tally.satisfied} of {tally.slots} slots satisfied in {facts.slo.days} d · target {tally.target:g} % · "
            f"{tally.missed} of {tally.allowed} misses used",
            "" if tally.is_kept else "See what they were missed for: `backups slo`, or the page SLO.",
            database.misses[0].slot.due if database.misses and not tally.is_kept else None,
            Measure(tally.missed, warning=tally.allowed),
            count=tally.missed,
        )
