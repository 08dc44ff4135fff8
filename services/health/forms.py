"""The JSON of the list of checks: stable keys, ISO times; and back, as a health run's result holds it."""

from __future__ import annotations

from typing import Any

from services.clock import isoformat, parse_instant
from services.health.model import WORST_FIRST, HealthCheck, HealthReport, Measure, Subject, make_report


def report_form(report: HealthReport) -> dict[str, Any]:
    """Return the report as JSON: stable keys, ISO times."""
    counts = {severity: report.count(severity) for severity in WORST_FIRST}
    return {
        "at": isoformat(report.at),
        "worst": report.worst,
        "counts": counts,
        "checks": [check_form(check) for check in report.checks],
    }


def check_form(check: HealthCheck) -> dict[str, Any]:
    """Return one check as JSON."""
    measure = check.measure
    return {
        "key": check.key,
        "name": check.name,
        "subject": {"kind": check.subject.kind, "name": check.subject.name},
        "severity": check.severity,
        "sentence": check.sentence,
        "hint": check.hint,
        "since": isoformat(check.since),
        "value": measure.value if measure else None,
        "unit": measure.unit if measure else None,
        "warning": measure.warning if measure else None,
        "failure": measure.failure if measure else None,
    }


def check_from_form(form: dict[str, Any]) -> HealthCheck:
    """Return the check that ``check_form`` wrote."""
    measure = None
    if form["value"] is not None:
        measure = Measure(form["value"], form["unit"], form["warning"], form["failure"])
    return HealthCheck(
        form["name"],
        Subject(form["subject"]["kind"], form["subject"]["name"]),
        form["severity"],
        form["sentence"],
        form["hint"],
        parse_instant(form["since"]) if form["since"] else None,
        measure,
    )


def report_from_form(form: dict[str, Any]) -> HealthReport:
    """Return the report that ``report_form`` wrote."""
    return make_report(parse_instant(form["at"]), map(check_from_form, form["checks"]))
