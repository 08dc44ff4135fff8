"""The daily health check: the list of checks is recorded; with ``deep`` each connection is tried, as doctor does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from services import doctor
from services.catalog.model import Run
from services.errors import BackupsError
from services.health.checks import RULES
from services.health.facts import gather
from services.health.forms import check_form, report_form
from services.health.model import INSTALLATION, HealthCheck, Severity, Subject, join_sentences, make_report
from services.health.place_checks import probes as recorded_probes
from services.installation import Installation
from services.jobs.context import RunContext
from services.preflight.tried import TriedStorages

_SEVERITIES: dict[doctor.Result, Severity] = {"ok": "ok", "warning": "warning", "failed": "failure"}
_RANK: tuple[Severity, ...] = ("ok", "warning", "unknown", "failure")
_OUTCOMES: dict[Severity, str] = {"ok": "passed", "warning": "warnings", "unknown": "unknown", "failure": "failed"}
_Check = Callable[[], Iterator[tuple[doctor.Result, str, str]]]


def probe(installation: Installation, run: RunContext | None = None) -> list[HealthCheck]:
    """Try each database's and each storage's connection and the keys; one that hangs ends by its own time limit."""
    settings, tried = installation.settings, TriedStorages(installation)
    tasks: list[tuple[str, Subject, _Check]] = [
        ("keys", INSTALLATION, partial(doctor.check_key, settings)),
        *(
            ("connection", Subject("database", one.name), partial(doctor.check_database, installation, one, tried))
            for one in settings.databases
            if not one.paused
        ),
        *(
            ("access", Subject("storage", one.name), partial(doctor.check_storage, installation, one, tried))
            for one in settings.storages
        ),
    ]
    found = []
    for name, subject, check in tasks:
        if run is not None:
            run.check_cancelled()
        found.append(_probe(name, subject, check))
        if run is not None and found[-1].severity != "ok":
            run.log(f"{subject}: {join_sentences(found[-1].sentence, found[-1].hint)}", "warning")
    return found


def _probe(name: str, subject: Subject, check: _Check) -> HealthCheck:
    """Run one of doctor's checks; the worst of what it says counts, the rest of that severity is said as well."""
    said: list[tuple[Severity, str, str]] = []
    try:
        said = [(_SEVERITIES[result], message, hint) for result, message, hint in check()]
    except BackupsError as error:
        said.append(("failure", error.message, error.hint))
    worst: Severity = max((severity for severity, _, _ in said), key=_RANK.index, default="unknown")
    messages = [message for severity, message, _ in said if severity == worst]
    hint = next((hint for severity, _, hint in said if severity == worst and hint), "")
    return HealthCheck(name, subject, worst, " ".join(_ended(message) for message in messages), hint)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."


def check_health(installation: Installation, run: Run, context: RunContext) -> dict[str, Any]:
    """Do a run of kind ``health``: return the list as its result, with what the probes found, if it is ``deep``."""
    found: list[HealthCheck] = []
    if run.params.get("deep", True):
        context.phase("trying connections")
        found = probe(installation, context)
    context.phase("reading the catalogue")
    facts = gather(installation)
    # What the last health run found is replaced by what this one did.
    rules = [rule for rule in RULES if not (found and rule is recorded_probes)]
    report = make_report(facts.now, [*found, *(check for rule in rules for check in rule(facts))])
    for check in report.checks:
        if check.severity != "ok" and check not in found:
            context.log(f"{check.subject}: {check.sentence}", "warning")
    form = report_form(report)
    return form | {
        "outcome": _OUTCOMES[report.worst],
        "reason": ", ".join(f"{count} {severity}" for severity, count in form["counts"].items() if count),
        "probes": [check_form(check) for check in found],
    }
