"""The list of checks as a Nagios plugin says it: one line of summary with performance data, then a line a check.

After the Monitoring Plugins Development Guidelines: https://www.monitoring-plugins.org/doc/guidelines.html
"""

from __future__ import annotations

from collections.abc import Iterable

from services.health.model import WORST_FIRST, HealthCheck, HealthReport, Measure, Severity, check_words, join_sentences

EXIT_CODES: dict[Severity, int] = {"ok": 0, "warning": 1, "failure": 2, "unknown": 3}
_WORDS: dict[Severity, str] = {"ok": "OK", "warning": "WARNING", "failure": "CRITICAL", "unknown": "UNKNOWN"}
_COUNTED: dict[Severity, str] = {"failure": "failed", "unknown": "unknown", "warning": "warning", "ok": "ok"}


def nagios_lines(report: HealthReport) -> list[str]:
    """Return the lines: the summary with its performance data first, then each check, worst first."""
    counts = [_counted(report.count(severity), severity) for severity in WORST_FIRST if report.count(severity)]
    summary = f"BACKUPS {_WORDS[report.worst]} - {', '.join(counts) or 'nothing is checked'}"
    if report.checks and report.worst != "ok":
        summary += f"; {_said(report.checks[0])}"
    return [f"{_plain(summary)} | {' '.join(_performance(report))}", *map(_line, report.checks)]


def _counted(count: int, severity: Severity) -> str:
    return f"{count} {_COUNTED[severity]}{'s' if severity == 'warning' and count > 1 else ''}"


def _line(check: HealthCheck) -> str:
    hint = check.hint if check.severity != "ok" else ""
    return _plain(f"{_WORDS[check.severity]}: {join_sentences(_said(check), hint)}")


def _said(check: HealthCheck) -> str:
    return f"{check.subject}, {check_words(check.name).lower()}: {check.sentence}"


def _performance(report: HealthReport) -> Iterable[str]:
    for severity in WORST_FIRST:
        yield f"{severity}={report.count(severity)}"
    for check in sorted(report.checks, key=lambda check: check.key):
        if check.measure is not None:
            yield f"{_label(check)}={_value(check.measure)}"


def _label(check: HealthCheck) -> str:
    # A label may hold anything but = and '; it stands in quotes, since names may hold spaces and dots.
    name = f"{check.subject.name or check.subject.kind} {check.name}"
    return f"'{_plain(name).replace('=', '-').replace(chr(39), '')}'"


def _value(measure: Measure) -> str:
    """Return ``value[unit];warning;failure``; a threshold is the largest value that is still well."""
    limits = ";".join("" if limit is None else f"{limit:.10g}" for limit in (measure.warning, measure.failure))
    value = f"{round(measure.value, 3):.10g}{measure.unit}"
    return f"{value};{limits}".rstrip(";")


def _plain(text: str) -> str:
    """Return text in which nothing ends the line or begins performance data."""
    return " ".join(text.replace("|", "/").split())
