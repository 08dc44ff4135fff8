"""A pytest plugin for machines that have everything: a test that did not really run fails the whole run.

Loaded by ``-p tests.support.no_skips`` (see ``make test BACKUPS_NO_SKIPS=1``). Counts what was skipped, what was
expected to fail (xfail), and whole modules that were skipped while they were collected.
"""

from __future__ import annotations

import pytest

_not_run: dict[str, str] = {}


def _remember(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped and not hasattr(report, "wasxfail"):
        return
    if hasattr(report, "wasxfail"):
        why = f"expected to fail: {report.wasxfail or 'no reason given'}"
    elif isinstance(report.longrepr, tuple):
        why = report.longrepr[2]
    else:
        why = str(report.longrepr)
    _not_run[report.nodeid] = why


def pytest_configure() -> None:
    _not_run.clear()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _remember(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    _remember(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _not_run and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _not_run:
        return
    terminalreporter.section("not run, which is a failure here", red=True)
    for nodeid, why in sorted(_not_run.items()):
        terminalreporter.write_line(f"{nodeid}: {why}")
