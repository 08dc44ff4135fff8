"""What is checked of each database. One function a check: Facts -> checks; ``services.health.checks`` lists them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from services.health.facts import Facts
from services.health.model import HealthCheck, Measure, Severity, Subject
from services.health.queries import GoodOne
from services.status import DatabaseStatus, Reason, age, reasons_by_rule
from services.units import format_bytes, format_duration

ENOUGH = 3
"""Good backups before the newest one from which on there is a usual size and duration."""
NOTABLE_SECONDS = 10.0
"""A duration that exceeds the median by less is no anomaly: two seconds instead of one say nothing."""


def paused(facts: Facts) -> Iterator[HealthCheck]:
    """A paused database is named, so that nobody takes its silence for health."""
    for status in facts.statuses:
        if status.state == "PAUSED":
            sentence = "Protection is paused in the settings: nothing is promised, and nothing else is checked."
            yield HealthCheck("paused", Subject("database", status.database), "ok", sentence)


def backup_age(facts: Facts) -> Iterator[HealthCheck]:
    """Is the last good backup within the RPO?"""
    for status, said in _watched(facts):
        good, rpo = status.evidence.last_good, status.evidence.promises.rpo
        reason = said["last_good"]
        since = good.snapshot_at + rpo if good and reason.severity == "warning" else None
        if good is not None and reason.severity == "ok":
            since = good.finished_at
        old = (facts.now - good.snapshot_at).total_seconds() if good else None
        measure = Measure(old, "s", warning=rpo.total_seconds()) if old is not None else None
        yield _from(reason, "backup_age", status, since=since, measure=measure)


def backup_run(facts: Facts) -> Iterator[HealthCheck]:
    """Did the last backup run end well?"""
    for status, said in _watched(facts):
        reason = said.get("last_run")
        if reason is not None:
            yield _from(reason, "backup_run", status, severity="warning", since=reason.at, count=1)
        elif status.evidence.backups_ever:
            yield _ok("backup_run", status, "The last backup run ended well.")


def restore_test(facts: Facts) -> Iterator[HealthCheck]:
    """Has a restore test passed within its maximum age, and did none fail since?"""
    for status, said in _watched(facts):
        reason = said.get("proof_of_backups")
        if reason is None:
            continue  # no backup at all: that is said already
        passed, limit = status.evidence.last_passed, status.evidence.promises.restore_test_max_age
        since = reason.at
        measure = None
        if passed is not None:
            old = (facts.now - passed.finished_at).total_seconds()
            measure = Measure(old, "s", warning=limit.total_seconds())
            if reason.severity == "warning":
                since = passed.finished_at + limit
        yield _from(reason, "restore_test", status, since=since, measure=measure)


def restore_time(facts: Facts) -> Iterator[HealthCheck]:
    """Was the last measured restore within the RTO?"""
    for status, said in _watched(facts):
        passed, rto = status.evidence.last_passed, status.evidence.promises.rto
        if passed is None or passed.seconds is None:
            continue
        measure = Measure(round(passed.seconds, 1), "s", warning=rto.total_seconds())
        reason = said.get("measured_rto")
        if reason is not None:
            yield _from(reason, "restore_time", status, severity="warning", since=reason.at, measure=measure)
        else:
            sentence = f"A restore took {format_duration(passed.seconds)} · RTO {age(rto)}"
            yield _ok("restore_time", status, sentence, measure=measure)


def verification(facts: Facts) -> Iterator[HealthCheck]:
    """Was the newest backup verified in time? What a verification found to be bad is said by ``corruption``."""
    limit = facts.limits.verify_within
    for status in facts.watched:
        newest = facts.newest.get(status.database)
        if newest is None:
            continue
        words = f"limit {age(limit)}"
        if newest.passed is None:
            old = facts.now - newest.finished_at
            late = old > limit
            sentence = f"{newest.name} has not been verified for {age(old)} · {words}"
            hint = f"Run: backups verify {newest.name}" if late else ""
            since = newest.finished_at + limit if late else newest.finished_at
            severity: Severity = "warning" if late else "ok"
            yield HealthCheck("verification", _subject(status), severity, sentence, hint, since)
            continue
        at = newest.verified_at or newest.finished_at
        level = "restore test" if newest.level == "restore" else f"{newest.level} check"
        ago = f"its {level} {age(facts.now - at)} ago"
        if newest.passed:
            yield HealthCheck(
                "verification", _subject(status), "ok", f"The newest backup passed {ago} · {words}", "", at
            )
        else:
            sentence = f"The newest backup, {newest.name}, failed {ago}."
            yield HealthCheck("verification", _subject(status), "failure", sentence, "Take a new one.", at, count=1)


def backup_size(facts: Facts) -> Iterator[HealthCheck]:
    """Is the newest good backup about as large as those before it? One that shrank may have lost tables."""
    drop, growth = facts.limits.size_drop, facts.limits.size_growth
    for status, newest, before in _with_history(facts):
        usual = statistics.median(one.stored_bytes for one in before)
        if usual <= 0:
            continue
        change = round(100 * (newest.stored_bytes - usual) / usual, 1)
        limits = f"limits −{drop} % and {growth:g} times"
        of = f"the median of the {len(before)} before it ({format_bytes(usual)})"
        measure = Measure(change, "%", warning=round(100 * (growth - 1), 1))
        if change < -drop:
            sentence = (
                f"{newest.name} has {format_bytes(newest.stored_bytes)}, {-change:.0f} % less than {of} · {limits}"
            )
            hint = "Look whether tables or rows have gone: compare it with an older one, and run a restore test."
        elif newest.stored_bytes > growth * usual:
            times = newest.stored_bytes / usual
            sentence = f"{newest.name} has {format_bytes(newest.stored_bytes)}, {times:.1f} times {of} · {limits}"
            hint = "Look what has grown, and whether the storage has room for more of it."
        else:
            sentence = f"{format_bytes(newest.stored_bytes)}, {change:+.0f} % against {of} · {limits}"
            yield _ok("backup_size", status, sentence.replace("-", "−", 1), measure=measure)
            continue
        yield HealthCheck("backup_size", _subject(status), "warning", sentence, hint, newest.finished_at, measure)


def backup_duration(facts: Facts) -> Iterator[HealthCheck]:
    """Did the newest good backup take about as long as those before it?"""
    growth = facts.limits.duration_growth
    for status, newest, before in _with_history(facts):
        usual = statistics.median(one.seconds for one in before)
        of = f"median of the {len(before)} before it {format_duration(usual)} · limit {growth:g} times"
        sentence = f"{format_duration(newest.seconds)} · {of}"
        measure = Measure(round(newest.seconds, 1), "s", warning=round(max(growth * usual, usual + NOTABLE_SECONDS), 1))
        if newest.seconds > growth * usual and newest.seconds - usual > NOTABLE_SECONDS:
            hint = "Look for locks, long transactions, a busy server, and a slow network or storage."
            sentence = f"{newest.name} took {sentence}"
            at = newest.finished_at
            yield HealthCheck("backup_duration", _subject(status), "warning", sentence, hint, at, measure)
        else:
            yield _ok("backup_duration", status, sentence, measure=measure)


def _with_history(facts: Facts) -> Iterator[tuple[DatabaseStatus, GoodOne, list[GoodOne]]]:
    for status in facts.watched:
        recent = facts.recent.get(status.database, [])
        if len(recent) > ENOUGH:
            yield status, recent[0], recent[1:]


def _watched(facts: Facts) -> Iterator[tuple[DatabaseStatus, dict[str, Reason]]]:
    for status in facts.watched:
        yield status, reasons_by_rule(status.evidence, facts.now)


def _from(reason: Reason, name: str, status: DatabaseStatus, **more: object) -> HealthCheck:
    severity = more.pop("severity", reason.severity)
    known: Severity = severity if severity in ("ok", "warning", "failure", "unknown") else "ok"
    return HealthCheck(name, _subject(status), known, reason.text, reason.hint, **more)  # type: ignore[arg-type]


def _ok(name: str, status: DatabaseStatus, sentence: str, *, measure: Measure | None = None) -> HealthCheck:
    return HealthCheck(name, _subject(status), "ok", sentence, measure=measure)


def _subject(status: DatabaseStatus) -> Subject:
    return Subject("database", status.database)
