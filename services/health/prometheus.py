"""The list of checks, and the numbers behind it, in Prometheus's text exposition format (version 0.0.4).

https://prometheus.io/docs/instrumenting/exposition_formats/ - names are stable: they are added to, never renamed. Times
are seconds since the epoch, sizes bytes, durations seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version

from services.health.facts import Facts
from services.health.model import HealthReport, Severity

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES: dict[Severity, int] = {"ok": 0, "warning": 1, "failure": 2, "unknown": 3}


@dataclass
class Gauge:
    """One metric with its samples."""

    name: str
    help: str
    samples: list[tuple[dict[str, str], float]] = field(default_factory=list)

    def add(self, value: float | datetime | None, **labels: str) -> None:
        """Add a sample; an unknown value gives none."""
        if value is not None:
            self.samples.append((labels, value.timestamp() if isinstance(value, datetime) else float(value)))

    def lines(self) -> Iterator[str]:
        """Return the lines; none without a sample."""
        if not self.samples:
            return
        yield f"# HELP {self.name} {_escape_help(self.help)}"
        yield f"# TYPE {self.name} gauge"
        for labels, value in self.samples:
            inside = ",".join(f'{name}="{_escape_label(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{inside}}} {_number(value)}" if inside else f"{self.name} {_number(value)}"


def exposition(report: HealthReport, facts: Facts | None) -> str:
    """Return the whole text. Without facts, since the catalogue does not answer, only what the report says."""
    gauges = [*_report_gauges(report), *(_fact_gauges(facts) if facts is not None else ())]
    return "".join(f"{line}\n" for gauge in gauges for line in gauge.lines())


def _report_gauges(report: HealthReport) -> Iterable[Gauge]:
    info = Gauge("backups_build_info", "The product's version, as a label; always 1.")
    info.add(1, version=version("proven-backups"))
    up = Gauge("backups_catalogue_up", "Whether the catalogue answers: 1 or 0.")
    up.add(not any(check.name == "catalogue" and check.severity != "ok" for check in report.checks))
    at = Gauge("backups_report_timestamp_seconds", "When these numbers were read.")
    at.add(report.at)
    state = Gauge("backups_check_state", "How a check stands: 0 ok, 1 warning, 2 failed, 3 unknown.")
    since = Gauge("backups_check_since_timestamp_seconds", "Since when a check that is not well has been so.")
    for check in sorted(report.checks, key=lambda check: check.key):
        labels = {"check": check.name, "subject_kind": check.subject.kind, "subject": check.subject.name}
        state.add(_STATES[check.severity], **labels)
        if check.severity != "ok":
            since.add(check.since, **labels)
    checks = Gauge("backups_checks", "How many checks stand so.")
    for severity in _STATES:
        checks.add(report.count(severity), state=severity)
    return info, up, at, checks, state, since


def _fact_gauges(facts: Facts) -> Iterable[Gauge]:
    return [*_database_gauges(facts), *_storage_gauges(facts), *_worker_gauges(facts)]


def _database_gauges(facts: Facts) -> list[Gauge]:
    protected = Gauge("backups_database_protected", "1 when all that is promised of a database holds, else 0.")
    paused = Gauge("backups_database_paused", "1 when protection is paused in the settings, else 0.")
    good = Gauge("backups_good_backups", "Good backups that are kept.")
    last = Gauge("backups_last_good_timestamp_seconds", "The instant that the last good backup holds.")
    size = Gauge("backups_last_good_stored_bytes", "Stored bytes of the last good backup.")
    source = Gauge("backups_last_good_database_bytes", "The database's size when it was taken.")
    took = Gauge("backups_last_good_duration_seconds", "How long it took.")
    proven = Gauge("backups_last_proof_timestamp_seconds", "When the last restore test that proves something passed.")
    restore = Gauge("backups_restore_seconds", "How long the restore in that test took: the measured RTO.")
    rpo = Gauge("backups_rpo_seconds", "The oldest that the last good backup may be.")
    rto = Gauge("backups_rto_seconds", "The longest that a restore may take.")
    for status in facts.statuses:
        name, evidence = status.database, status.evidence
        protected.add(status.state == "PROTECTED", database=name)
        paused.add(status.state == "PAUSED", database=name)
        good.add(evidence.good_backups, database=name)
        rpo.add(evidence.promises.rpo.total_seconds(), database=name)
        rto.add(evidence.promises.rto.total_seconds(), database=name)
        if evidence.last_good is not None:
            last.add(evidence.last_good.snapshot_at, database=name)
            size.add(evidence.last_good.stored_bytes, database=name)
            source.add(evidence.last_good.database_bytes, database=name)
        if recent := facts.recent.get(name):
            took.add(recent[0].seconds, database=name)
        if evidence.last_passed is not None:
            proven.add(evidence.last_passed.finished_at, database=name)
            restore.add(evidence.last_passed.seconds, database=name)
    return [protected, paused, good, last, size, source, took, proven, restore, rpo, rto]


def _storage_gauges(facts: Facts) -> list[Gauge]:
    used = Gauge("backups_storage_used_bytes", "What a storage holds of ours, by the catalogue.")
    total = Gauge("backups_storage_total_bytes", "What fits into it in all: its limit or its disk.")
    copies = Gauge("backups_storage_copies", "Copies in it.")
    for room in facts.rooms:
        used.add(room.used_bytes, storage=room.name)
        total.add(room.total_bytes, storage=room.name)
        copies.add(room.backups, storage=room.name)
    return [used, total, copies]


def _worker_gauges(facts: Facts) -> list[Gauge]:
    beat = Gauge("backups_worker_heartbeat_timestamp_seconds", "The newest heartbeat of any worker.")
    beat.add(facts.signs.heartbeat_at)
    oldest = Gauge("backups_queue_oldest_timestamp_seconds", "When the run that has waited longest was queued.")
    oldest.add(facts.signs.oldest_queued_at)
    active = Gauge("backups_active_runs", "Runs that wait or run.")
    runs = [run for status in facts.statuses for run in status.active]
    for state in ("queued", "running"):
        active.add(sum(run.state == state for run in runs), state=state)
    waiting = Gauge("backups_messages_waiting", "Messages about alerts that no channel has taken yet.")
    waiting.add(facts.delivery.waiting)
    return [beat, oldest, active, waiting]


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 3))


def _escape_label(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
