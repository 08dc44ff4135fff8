"""What is checked of keys: that losing one loses nothing, and that somebody still holds the one kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from services.health.facts import Facts
from services.health.model import INSTALLATION, HealthCheck, Measure, Severity
from services.keys.holders import load_keys
from services.keys.words import ADD_A_KEY, drill_words, recipients_words


def keys(facts: Facts) -> Iterator[HealthCheck]:
    """Is there a recovery key beside the worker's, and was it proven lately? Two queries."""
    settings = facts.installation.settings
    if settings.sample or not settings.recipients or not any(one.encrypt for one in settings.databases):
        return
    report = load_keys(facts.installation, drills=0)
    alone = len(report.present) == 1
    severity: Severity = "warning" if alone else "ok"
    yield HealthCheck(
        "recovery_key", INSTALLATION, severity, recipients_words(report), ADD_A_KEY if alone else "",
        measure=Measure(len(report.present)),
    )  # fmt: skip
    due = report.due
    if due is not None:
        late: Severity = "warning" if report.is_overdue else "ok"
        hint = "`backups keys drill --identity FILE`, by whoever keeps the key." if report.is_overdue else ""
        since = due.due_at if report.is_overdue else due.proven_at
        limit = f" · every {settings.key_drill_every.days} d"
        yield HealthCheck("key_drill", INSTALLATION, late, drill_words(report).rstrip(".") + limit, hint, since)
