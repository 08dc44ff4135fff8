"""What becomes of an alert: a table of moments."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.decide import decide
from services.alerts.model import Alert
from services.alerts.rules import RULES
from services.health.model import CHECK_WORDS, WORST_FIRST, HealthCheck, Subject

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ORDERS = Subject("database", "orders")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FINE = HealthCheck("backup_age", ORDERS, "ok", "fine")
LATE = replace(FINE, severity="warning", sentence="late")
GONE = replace(FINE, severity="failure", sentence="gone")
OPEN = Alert(
    id="a1", key=LATE.key, check="backup_age", subject=ORDERS, severity="warning", sentence="late", hint="", count=0,
    since=None, opened_at=NOW - HOUR, notified_at=NOW - HOUR, messages=1,
)  # fmt: skip
ACKNOWLEDGED = replace(OPEN, acknowledged_at=NOW - HOUR, acknowledged_by="ada", notified_at=NOW - 3 * DAY)


def steps(
    check: HealthCheck | None, alert: Alert | None = None, *, hold: timedelta = timedelta(minutes=5)
) -> list[str]:
    checks = [check] if check else []
    alerts = [alert] if alert else []
    return [each.step for each in decide(checks, alerts, NOW, remind_after=DAY, hold=hold)]


CASES: dict[str, tuple[HealthCheck | None, Alert | None, list[str]]] = {
    "what is well opens nothing": (FINE, None, []),
    "what is late opens an alert": (LATE, None, ["open"]),
    "what nobody knows opens nothing": (replace(FINE, severity="unknown"), None, []),
    "still late is noted and said to nobody": (LATE, OPEN, ["update"]),
    "a day later it is said again": (LATE, replace(OPEN, notified_at=NOW - DAY), ["remind"]),
    "an acknowledged one is not said again": (LATE, ACKNOWLEDGED, ["update"]),
    "what a clock far ahead has said is said again": (LATE, replace(OPEN, notified_at=NOW + 365 * DAY), ["remind"]),
    "it got worse": (GONE, OPEN, ["worse"]),
    "an acknowledged one that got worse is said": (GONE, ACKNOWLEDGED, ["worse"]),
    "more of it is worse, too": (replace(LATE, count=2), replace(OPEN, count=1), ["worse"]),
    "it got better, but is not well": (LATE, replace(OPEN, severity="failure"), ["update"]),
    "well again begins the hold": (FINE, OPEN, ["well"]),
    "within the hold nothing happens": (FINE, replace(OPEN, well_since=NOW - 4 * MINUTE), []),
    "after the hold it resolves": (FINE, replace(OPEN, well_since=NOW - 5 * MINUTE), ["resolve"]),
    "late again within the hold goes on silently": (LATE, replace(OPEN, well_since=NOW - 4 * MINUTE), ["update"]),
    "what nobody knows resolves nothing": (replace(FINE, severity="unknown"), OPEN, []),
    "what nobody checks any more resolves": (None, replace(OPEN, well_since=NOW - HOUR), ["resolve"]),
    "a clock set back does not hold it for ever": (FINE, replace(OPEN, well_since=NOW + DAY), ["resolve"]),
    "a clock set back reminds nobody": (LATE, replace(OPEN, notified_at=NOW + DAY), ["update"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_moment_of_an_alert(case: str) -> None:
    check, alert, expected = CASES[case]
    assert steps(check, alert) == expected


def test_without_a_hold_it_resolves_at_once() -> None:
    assert steps(FINE, OPEN, hold=timedelta(0)) == ["resolve"]


def test_a_worker_that_is_started_anew_alerts_nobody() -> None:
    silent = HealthCheck("worker", Subject("worker"), "failure", "silent", since=NOW - timedelta(seconds=40))
    assert steps(silent) == []
    assert steps(replace(silent, since=NOW - timedelta(minutes=2))) == ["open"]
    assert steps(replace(silent, since=None)) == ["open"]


@pytest.mark.parametrize("other", ["corruption", "copies", "restore_test"])
def test_a_failed_verification_is_said_once(other: str) -> None:
    failed = HealthCheck("verification", ORDERS, "failure", "failed")
    named = HealthCheck(other, ORDERS, "failure", "damaged")
    elsewhere = replace(named, subject=Subject("database", "users"))
    found = decide([failed, named], [], NOW, remind_after=DAY, hold=HOUR)
    assert [step.check.name for step in found if step.check] == [other]
    assert len(decide([failed, elsewhere], [], NOW, remind_after=DAY, hold=HOUR)) == 2
    overdue = replace(failed, severity="warning")
    assert len(decide([overdue, named], [], NOW, remind_after=DAY, hold=HOUR)) == 2, "that is another matter"


def test_a_check_that_no_rule_names_alerts_all_the_same() -> None:
    assert steps(HealthCheck("slot", ORDERS, "failure", "missed")) == ["open"]


def test_while_a_rule_cannot_be_applied_what_it_does_not_find_stays_open() -> None:
    blind = HealthCheck("examination", Subject("installation"), "failure", "1 of 30 rules")
    found = decide([blind], [OPEN], NOW, remind_after=DAY, hold=timedelta(0))
    assert [step.alert for step in found] == [None], "it is told of, and the other is left alone"
    itself = replace(OPEN, key=blind.key, check="examination", subject=blind.subject)
    found = decide([], [OPEN, itself], NOW, remind_after=DAY, hold=timedelta(0))
    assert [step.step for step in found] == ["resolve", "resolve"]


def test_every_rule_is_about_a_check_that_has_a_name() -> None:
    assert set(RULES) <= set(CHECK_WORDS)


severities = st.sampled_from(WORST_FIRST)


@given(st.lists(st.tuples(severities, st.integers(0, 3), st.integers(0, 60 * 24 * 3)), max_size=40))
def test_whatever_happens_one_alert_is_open_at_most_and_each_message_has_its_reason(
    moments: list[tuple[str, int, int]],
) -> None:
    """Play a history: severities, counts and the minutes between two looks."""
    now, alert = NOW, None
    told: list[str] = []
    for severity, count, minutes in moments:
        now += timedelta(minutes=minutes)
        check = replace(FINE, severity=severity, count=count)  # type: ignore[arg-type]
        found = decide([check], [alert] if alert else [], now, remind_after=DAY, hold=timedelta(minutes=5))
        assert len(found) <= 1
        for step in found:
            told += [step.step] if step.tells else []
            if step.step == "open":
                assert alert is None
                alert = replace(OPEN, severity=check.severity, count=count, notified_at=now, well_since=None)
            elif step.step == "resolve":
                alert = None
            elif alert is not None and step.step == "well":
                alert = replace(alert, well_since=now)
            elif alert is not None:
                alert = replace(alert, severity=check.severity, count=count, well_since=None,
                                notified_at=now if step.tells else alert.notified_at)  # fmt: skip
    assert told.count("open") - told.count("resolve") == (alert is not None)
    assert all(a == "resolve" for a, b in pairwise(told) if b == "open")
