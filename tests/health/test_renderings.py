"""The list as Nagios, Prometheus and JSON read it: parsed by somebody else's parser where there is one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.health.checks import apply_rules
from services.health.facts import gather
from services.health.forms import report_form, report_from_form
from services.health.model import INSTALLATION, HealthCheck, Measure, Severity, Subject, make_report
from services.health.nagios import EXIT_CODES, nagios_lines
from services.health.prometheus import Gauge, exposition
from tests.pages.worlds import NOW, PASSWORD, healthy

# Monitoring Plugins Development Guidelines: 'label'=value[UOM];[warn];[crit];[min];[max]
PERFORMANCE = re.compile(r"(?:'[^'=]+'|[^\s'=]+)=-?\d+(?:\.\d+)?(?:s|B|%)?(?:;-?[\d.]*){0,4}(?:\s+|\Z)")


def report_of(*severities: Severity) -> list[str]:
    checks = [HealthCheck(f"c{n}", INSTALLATION, severity, "it is so") for n, severity in enumerate(severities)]
    return nagios_lines(make_report(NOW, checks))


@pytest.mark.parametrize(
    ("severities", "word", "code"),
    [
        (("ok", "ok"), "OK", 0),
        (("ok", "warning"), "WARNING", 1),
        (("warning", "unknown", "ok"), "UNKNOWN", 3),
        (("warning", "unknown", "failure"), "CRITICAL", 2),
        ((), "UNKNOWN", 3),
    ],
)
def test_the_exit_code_and_the_first_word_are_those_of_the_worst(
    severities: tuple[Severity, ...], word: str, code: int
) -> None:
    lines = report_of(*severities)
    assert lines[0].startswith(f"BACKUPS {word} - ")
    assert len(lines) == 1 + len(severities)
    checks = [HealthCheck(f"c{n}", INSTALLATION, severity, "so") for n, severity in enumerate(severities)]
    assert EXIT_CODES[make_report(NOW, checks).worst] == code


def test_performance_data_is_what_nagios_parses(tmp_path: Path) -> None:
    inst = healthy(tmp_path, days=10)
    first = nagios_lines(apply_rules(gather(inst)))[0]
    summary, bar, performance = first.partition(" | ")
    assert bar
    assert "1 failed, 3 warnings" in summary
    assert PERFORMANCE.sub("", performance) == "", "nothing is left over"
    assert "'la_factoria backup_age'=10813s;100800" in performance
    assert re.search(r"'local storage_room'=0\.\d%;80;95", performance), "of its limit, or of this machine's disk"


def test_no_text_of_others_breaks_the_format() -> None:
    hostile = "a | b=1\n'x' \x1b[31m"
    subject = Subject("database", "o'rders = 1")
    check = HealthCheck(hostile, subject, "failure", hostile, hostile, measure=Measure(1.5, "s", 2, 3))
    lines = nagios_lines(make_report(NOW, [check]))
    assert len(lines) == 2
    assert lines[0].count("|") == 1
    assert PERFORMANCE.sub("", lines[0].partition(" | ")[2]) == ""
    assert "|" not in lines[1]


def test_prometheus_parses_what_we_write(tmp_path: Path) -> None:
    facts = gather(healthy(tmp_path, days=10))
    text = exposition(apply_rules(facts), facts)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {family.type for family in families.values()} == {"gauge"}
    assert all(name.startswith("backups_") and family.documentation for name, family in families.items())
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families.values() for s in f.samples}
    state = ("check", "backup_age"), ("subject", "billing"), ("subject_kind", "database")
    assert samples["backups_check_state", state] == 2
    assert samples["backups_database_protected", (("database", "la_factoria"),)] == 1
    assert samples["backups_database_paused", (("database", "archive_2024"),)] == 1
    last = samples["backups_last_good_timestamp_seconds", (("database", "la_factoria"),)]
    assert last == (NOW - timedelta(hours=3, seconds=13)).timestamp()
    assert samples["backups_rpo_seconds", (("database", "orders"),)] == 28 * 3600
    assert samples["backups_storage_total_bytes", (("storage", "local"),)] <= 50 * 10**9
    assert samples["backups_worker_heartbeat_timestamp_seconds", ()] == (NOW - timedelta(seconds=3)).timestamp()
    assert samples["backups_catalogue_up", ()] == 1
    assert ("backups_last_good_timestamp_seconds", (("database", "billing"),)) not in samples, "unknown is no zero"
    assert PASSWORD not in text


def test_labels_and_help_are_escaped() -> None:
    gauge = Gauge("backups_x", "back\\slash\nand line")
    value = 'quote " back\\slash\nline'
    gauge.add(1.25, name=value)
    [family] = text_string_to_metric_families("\n".join(gauge.lines()) + "\n")
    assert family.samples[0].labels == {"name": value}
    assert family.samples[0].value == 1.25


def test_times_are_seconds_since_the_epoch_to_a_millisecond() -> None:
    gauge = Gauge("backups_x", "x")
    gauge.add(datetime(2026, 11, 22, 2, 0, 11, 123456, tzinfo=UTC))
    gauge.add(None)
    assert list(gauge.lines())[2:] == ["backups_x 1795312811.123"]


def test_without_a_catalogue_only_that_is_said() -> None:
    check = HealthCheck("catalogue", INSTALLATION, "failure", "It does not answer.")
    text = exposition(make_report(NOW, [check]), None)
    names = {family.name for family in text_string_to_metric_families(text)}
    assert names == {
        "backups_build_info", "backups_catalogue_up", "backups_report_timestamp_seconds", "backups_checks",
        "backups_check_state",
    }  # fmt: skip
    assert "backups_catalogue_up 0" in text


def test_the_json_comes_back_as_it_was(tmp_path: Path) -> None:
    report = apply_rules(gather(healthy(tmp_path, days=5)))
    form = json.loads(json.dumps(report_form(report)))
    back = report_from_form(form)
    assert [(c.key, c.severity, c.sentence, c.measure) for c in back.checks] == [
        (c.key, c.severity, c.sentence, c.measure) for c in report.checks
    ]
    assert form["worst"] == "failure"
    assert sum(form["counts"].values()) == len(form["checks"])
    assert form["at"] == "2026-11-22T12:00:00.000Z"
