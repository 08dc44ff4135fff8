"""Is everything well? For people, for Nagios, for Prometheus and as JSON."""

from __future__ import annotations

from typing import Annotated

import typer
from sqlalchemy.exc import SQLAlchemyError

from services import commands
from services.cli.app import app
from services.cli.output import say, write_json
from services.cli.running import Mode, carry_out, fail_unless_finished
from services.cli.session import AsJson, actor, opened
from services.clock import utc_now
from services.errors import BackupsError, ConnectionFailed, InputError
from services.health.checks import apply_rules, unreachable
from services.health.facts import Facts, gather
from services.health.forms import report_form, report_from_form
from services.health.model import INSTALLATION, HealthCheck, HealthReport, make_report
from services.health.nagios import EXIT_CODES, nagios_lines
from services.health.prometheus import exposition
from services.installation import Installation

_STYLES = {"ok": "green", "warning": "yellow", "failure": "bold red", "unknown": "magenta"}


@app.command()
def health(
    deep: Annotated[
        bool, typer.Option("--deep", help="Also try each connection now, as the daily health check does; recorded.")
    ] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="Write Prometheus's text format.")] = False,
    as_json: AsJson = False,
) -> None:
    """List every check, worst first, as a Nagios plugin does. Exit code: 0 ok, 1 warning, 2 failed, 3 unknown."""
    if as_json and prometheus:
        raise InputError("--json and --prometheus exclude each other.", hint="Give one of them.")
    report, facts = _look(deep=deep, quiet=as_json or prometheus)
    if as_json:
        write_json(report_form(report))
    elif prometheus:
        typer.echo(exposition(report, facts), nl=False)
    else:
        first, *rest = nagios_lines(report)
        say(first)
        for line, check in zip(rest, report.checks, strict=True):
            say(line, style=_STYLES[check.severity])
    raise typer.Exit(EXIT_CODES[report.worst])


def _look(*, deep: bool, quiet: bool) -> tuple[HealthReport, Facts | None]:
    """Return the report. What keeps it from being made is a finding here: Nagios takes no other exit codes."""
    try:
        with opened(quiet=quiet) as installation:
            report = _probed(installation) if deep else None
            facts = gather(installation)
            return report or apply_rules(facts), facts
    except (ConnectionFailed, SQLAlchemyError) as error:
        return make_report(utc_now(), [unreachable(error)]), None
    except BackupsError as error:
        check = HealthCheck("settings", INSTALLATION, "unknown", error.message, error.hint)
        return make_report(utc_now(), [check]), None


def _probed(installation: Installation) -> HealthReport:
    run = carry_out(
        installation,
        lambda queued: commands.submit_health(installation, deep=True, actor=actor(), queue=queued),
        Mode(queue=False, wait=False, quiet=True, as_json=True),
    )
    assert run is not None, "it was carried out here"
    fail_unless_finished(run)
    return report_from_form(run.result)
