"""What is checked of storages, the worker and the installation itself. One function a check, as for databases."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

from services.catalog.model import Run
from services.catalog.workers import FORGOTTEN_AFTER, SILENT_AFTER
from services.health.facts import Facts
from services.health.model import INSTALLATION, WORKER, HealthCheck, Measure, Severity, Subject
from services.notify.outbox import REFUSED
from services.overview import StorageRoom
from services.status import age, is_scheduled, worker_problem
from services.units import format_bytes, format_part

HICCUP = timedelta(minutes=3)
"""What waits for less is on its way."""
UNDELIVERED_FAILS_AFTER = timedelta(hours=1)
"""A message that waits this long is no hiccup of a mail server any more."""


def storage_reach(facts: Facts) -> Iterator[HealthCheck]:
    """Does each local storage answer? S3 is not asked here; the daily health check tries it (``access``).

    What waits for one that does not is named here, and opens no alert of its own.
    """
    for room in facts.rooms:
        subject = Subject("storage", room.name)
        if room.problem:
            waiting = [found for found in facts.corruption.values() if room.name in found.unmade_storages]
            names = ", ".join(found.unmade_name for found in waiting if found.unmade_in == room.name)
            also = f" Copies wait for it, the newest of {names}." if names else ""
            hint = "Mount or mend it; copies that wait for it are made by themselves then."
            sentence = f"It cannot be asked: {room.problem}{also}"
            yield HealthCheck("storage_reach", subject, "unknown", sentence, hint)
        elif room.free_bytes is not None:
            yield HealthCheck("storage_reach", subject, "ok", "It answers.")


def told_by_reach(facts: Facts, storages: Collection[str]) -> str:
    """Return the key of the check that says that all of these storages are away; empty where one of them is not."""
    away = [room.name for room in facts.rooms if room.problem]
    if not storages or not set(storages) <= set(away):
        return ""
    first = next(name for name in away if name in storages)
    return HealthCheck("storage_reach", Subject("storage", first), "unknown", "").key


def storage_room(facts: Facts) -> Iterator[HealthCheck]:
    """Is there room for more, by share and for the next backup?"""
    for room in facts.rooms:
        subject = Subject("storage", room.name)
        if room.problem:
            yield HealthCheck("storage_room", subject, "unknown", f"It cannot be asked: {room.problem}", "Look at it.")
            continue
        yield _room(facts, room, subject)


def _room(facts: Facts, room: StorageRoom, subject: Subject) -> HealthCheck:
    warning, failure = facts.limits.storage_warning, facts.limits.storage_failure
    total = room.total_bytes
    held = f"{format_bytes(room.used_bytes)} in {room.backups} {'copy' if room.backups == 1 else 'copies'}"
    if not total:
        return HealthCheck("storage_room", subject, "ok", f"{held} · no limit is set")
    share = 100 * room.used_bytes / total
    left = max(0, total - room.used_bytes)
    bound = "limit" if total == room.limit_bytes else "disk"
    sentence = (
        f"{format_part(room.used_bytes, total)} of {format_bytes(total)} ({bound}) used, {format_bytes(left)} left · "
        f"warns at {warning} %, fails at {failure} %"
    )
    largest = _next_backup(facts, room.name)
    severity: Severity = "failure" if share >= failure else "warning" if share >= warning else "ok"
    if largest > left:
        severity = "failure"
        sentence += f" · the next backup needs about {format_bytes(largest)}"
    hint = "Clean up, raise the limit, or move older backups elsewhere." if severity != "ok" else ""
    return HealthCheck(
        "storage_room", subject, severity, sentence, hint, measure=Measure(round(share, 1), "%", warning, failure)
    )


def _next_backup(facts: Facts, storage: str) -> int:
    """Return the bytes of the largest backup that is written to a storage, by each database's last good one."""
    settings = facts.installation.settings
    here = {d.name for d in settings.databases if storage in [s.name for s in settings.storages_of(d)]}
    last = [s.evidence.last_good for s in facts.watched if s.database in here]
    return max((good.stored_bytes for good in last if good is not None), default=0)


def worker(facts: Facts) -> Iterator[HealthCheck]:
    """Is a worker alive, where one has been started, work waits or a schedule is on? Silence is failure."""
    beat, now = facts.signs.heartbeat_at, facts.now
    measure = Measure((now - beat).total_seconds(), "s", failure=SILENT_AFTER.total_seconds()) if beat else None
    problem = worker_problem(facts.signs, now, scheduled=is_scheduled(facts.watched))
    if problem is not None:
        ahead = beat is not None and beat > now
        severity: Severity = "unknown" if ahead else "failure"
        hint = f"{problem.hint} Nothing that is queued starts, and nothing scheduled runs."
        yield HealthCheck("worker", WORKER, severity, problem.text, hint, problem.at, measure)
    elif beat is None or now - beat > FORGOTTEN_AFTER:
        yield HealthCheck("worker", WORKER, "ok", "No worker runs, and no work waits for one.")
    else:
        sentence = f"Last heard {age(now - beat)} ago · silent from {age(SILENT_AFTER)} on"
        yield HealthCheck("worker", WORKER, "ok", sentence, measure=measure)


def queue(facts: Facts) -> Iterator[HealthCheck]:
    """Does what is queued get its turn?"""
    limit, oldest = facts.limits.queue_wait, facts.signs.oldest_queued_at
    if oldest is None:
        yield HealthCheck("queue", WORKER, "ok", "Nothing waits.", measure=Measure(0, "s", limit.total_seconds()))
        return
    waits = facts.now - oldest
    measure = Measure(max(0.0, waits.total_seconds()), "s", limit.total_seconds())
    sentence = f"The oldest queued run has waited for {age(waits)} · limit {age(limit)}"
    if waits > limit:
        hint = "See `backups runs --state running` for what stands before it; cancel what hangs."
        yield HealthCheck("queue", WORKER, "warning", sentence, hint, oldest + limit, measure)
    else:
        yield HealthCheck("queue", WORKER, "ok", sentence, measure=measure)


def other_runs(facts: Facts) -> Iterator[HealthCheck]:
    """Did what runs beside the backups end well, each kind the last time: verifications, cleaning up, copies, …?"""
    by_subject: dict[Subject, list[Run]] = {}
    watched = {status.database for status in facts.watched}
    for run in facts.last_runs:
        subject = Subject("database", run.database) if run.database else INSTALLATION
        if run.database is None or run.database in watched:
            by_subject.setdefault(subject, []).append(run)
    for subject, ended in by_subject.items():
        failed = sorted((run for run in ended if run.state != "finished"), key=lambda run: run.queued_at)
        if not failed:
            kinds = ", ".join(sorted({run.kind.replace("_", " ") for run in ended}))
            yield HealthCheck("other_runs", subject, "ok", f"Each ended well the last time: {kinds}.")
            continue
        newest = failed[-1]
        at = newest.finished_at or newest.queued_at
        word = "was lost with its worker" if newest.state == "lost" else "failed"
        sentence = f"The last {newest.kind.replace('_', ' ')} run {word} {age(facts.now - at)} ago: {newest.error}"
        if len(failed) > 1:
            sentence += f" (and so did the last {', '.join(r.kind.replace('_', ' ') for r in failed[:-1])})"
        into = {str(run.params.get("storage")) if run.kind == "copy" else "" for run in failed}
        yield HealthCheck(
            "other_runs", subject, "warning", sentence.rstrip(": "), newest.hint, at, count=len(failed),
            told_by=told_by_reach(facts, into),
        )  # fmt: skip


def catalogue(facts: Facts) -> Iterator[HealthCheck]:
    """The catalogue answered, or there would be no facts; see ``services.health.checks.examine``."""
    engine = facts.installation.catalog.engine.dialect.name
    yield HealthCheck(
        "catalogue", INSTALLATION, "ok", f"It answers ({'SQLite' if engine == 'sqlite' else 'PostgreSQL'})."
    )


def notifications(facts: Facts) -> Iterator[HealthCheck]:
    """Do alerts reach anybody?"""
    found, limits = facts.delivery, facts.limits
    set_up = bool(limits.email or limits.slack or limits.urls)
    measure = Measure(found.waiting, warning=0)
    waits = facts.now - (found.oldest_waiting_at or facts.now)
    hint = "See `backups alert test` for what each channel says."
    refused = found.last_error.startswith(REFUSED)  # no need to wait and see: only a person mends that
    if waits > HICCUP or refused:
        many = f"{found.waiting} messages wait" if found.waiting > 1 else "A message waits"
        severity: Severity = "failure" if refused or waits > UNDELIVERED_FAILS_AFTER else "warning"
        why = f": {found.last_error}" if found.last_error else ""
        sentence = f"{many} to be delivered, for {age(waits)} · fails after {age(UNDELIVERED_FAILS_AFTER)}{why}"
        at = found.oldest_waiting_at
        yield HealthCheck("notifications", INSTALLATION, severity, sentence, f"{hint} Nothing is lost.", at, measure)
    elif found.given_up:
        many = f"{found.given_up} messages" if found.given_up > 1 else "A message"
        sentence = f"{many} of the last day could not be delivered, and will not be tried again."
        yield HealthCheck("notifications", INSTALLATION, "warning", sentence, hint, measure=measure)
    elif not set_up:
        sentence = "No channel is set: alerts are shown on the page and the command line only."
        yield HealthCheck("notifications", INSTALLATION, "ok", sentence, "Set BACKUP_ALERT_EMAIL or BACKUP_ALERT_URLS.")
    else:
        last = (
            f"the last one {age(facts.now - found.last_sent_at)} ago" if found.last_sent_at else "none was needed yet"
        )
        yield HealthCheck("notifications", INSTALLATION, "ok", f"Every message was delivered; {last}.", measure=measure)


def probes(facts: Facts) -> Iterator[HealthCheck]:
    """What the last health check found when it tried each connection, and what was used since."""
    at = facts.probes.at
    if at is None:
        return
    known = {status.database for status in facts.watched} | {room.name for room in facts.rooms}
    for check in facts.probes.checks:
        if check.subject.name and check.subject.name not in known:
            continue  # taken out of the settings since
        yield HealthCheck(
            check.name,
            check.subject,
            check.severity,
            f"{check.sentence} Tried {age(facts.now - at)} ago.",
            check.hint,
            at,
        )
