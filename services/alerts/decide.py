"""What becomes of the alerts: a pure function of the checks, the open alerts and the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from services.alerts.model import Alert
from services.alerts.rules import rule_of
from services.health.model import EXAMINATION, WORST_FIRST, HealthCheck

Step = Literal["open", "worse", "remind", "resolve", "update", "well"]
"""``update`` and ``well`` change the row and tell nobody: still so, or well and the hold is running."""


@dataclass(frozen=True)
class Transition:
    """One step of one alert."""

    step: Step
    alert: Alert | None
    """None for a new one."""
    check: HealthCheck | None
    """None when nobody checks this any more: the database was taken out of the settings, or paused."""

    @property
    def tells(self) -> bool:
        """Whether people hear of it."""
        return self.step in ("open", "worse", "remind", "resolve")


def decide(
    checks: Iterable[HealthCheck],
    open_alerts: Iterable[Alert],
    now: datetime,
    *,
    remind_after: timedelta,
    hold: timedelta,
) -> list[Transition]:
    """Return the steps that are due, at most one for each alert.

    A check that fires opens an alert, once. While it is open it is said again after ``remind_after``, unless somebody
    acknowledged it; and at once when it got worse (its severity, or the number of things that are wrong), which also
    takes the acknowledgement back. It resolves when its check has been well for ``hold`` without a break. What nobody
    knows any more (*unknown*) neither opens nor resolves anything, where its rule does not say otherwise.
    """
    found = {check.key: check for check in checks}
    alerts = {alert.key: alert for alert in open_alerts}
    blind = any(check.name == EXAMINATION and fires(check) for check in found.values())
    steps = []
    for key in sorted(found.keys() | alerts.keys()):
        check, alert = found.get(key), alerts.get(key)
        if check is None and blind and alert is not None and alert.check != EXAMINATION:
            continue  # perhaps it is only not seen
        step = _of_new(check, found, now) if alert is None else _of_open(alert, check, now, remind_after, hold)
        if step is not None:
            steps.append(Transition(step, alert, check))
    return steps


def fires(check: HealthCheck) -> bool:
    """Say whether a check is in a state that its rule alerts on."""
    return check.severity in rule_of(check.name).fires_on


def _of_new(check: HealthCheck | None, found: dict[str, HealthCheck], now: datetime) -> Step | None:
    if check is None or not fires(check):
        return None
    rule = rule_of(check.name)
    after = rule.after
    others = [found.get(replace(check, name=name).key) for name in rule.covered_by]
    if check.severity == "failure" and any(other is not None and fires(other) for other in others):
        return None
    told_by = found.get(check.told_by)
    if told_by is not None and fires(told_by):
        return None
    young = check.since is not None and timedelta(0) <= now - check.since < after
    return None if young else "open"


def _of_open(
    alert: Alert, check: HealthCheck | None, now: datetime, remind_after: timedelta, hold: timedelta
) -> Step | None:
    if check is not None and fires(check):
        if _rank(check.severity) < _rank(alert.severity) or check.count > alert.count:
            return "worse"
        # What is dated far ahead was said by a clock that was wrong, and would silence it until then.
        quiet = -remind_after <= now - alert.notified_at < remind_after
        if not alert.is_acknowledged and not quiet:
            return "remind"
        return "update"
    if check is not None and check.severity == "unknown":
        return None
    # A clock that was set back would otherwise keep it in its hold for as long.
    if alert.well_since is not None and (now - alert.well_since >= hold or alert.well_since > now):
        return "resolve"
    if alert.well_since is None:
        return "resolve" if hold <= timedelta(0) else "well"
    return None


def _rank(severity: str) -> int:
    return [str(each) for each in WORST_FIRST].index(severity)
