"""What people read: one plain text for mail and chat alike. Times are exact and in UTC: it may be read hours later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.alerts.model import Alert
from services.alerts.rules import rule_of
from services.notify.outbox import Event
from services.settings.model import Settings
from services.units import format_duration

_LISTED = 20
"""So many alerts are told of in one message; the rest is counted."""
_WORDS = {"failure": "FAILURE", "warning": "WARNING", "unknown": "UNKNOWN", "ok": "OK"}


@dataclass(frozen=True)
class Text:
    """A message's words."""

    subject: str
    body: str


def write_message(alert: Alert, event: Event, settings: Settings, now: datetime) -> Text:
    """Given an alert as it is now and what has become of it, return the message."""
    title = rule_of(alert.check).title
    head = "RESOLVED" if event == "resolved" else _WORDS[alert.severity]
    about = f"{alert.subject.name}: {title}" if alert.subject.name else title
    sample = "[sample data] " if settings.sample else ""
    subject = f"{sample}[{head}] {about}{_SUFFIXES.get(event, '')}"
    lines = [_opening(alert, event, now), ""]
    if event == "resolved":
        lines += [f"It was: {alert.sentence}"]
    else:
        lines += [alert.sentence]
        if alert.action:
            lines += [alert.action]
        if alert.hint:
            lines += [f"What to do: {alert.hint}"]
    lines += ["", f"About: {alert.subject}", f"Opened: {_at(alert.opened_at)}"]
    if alert.since is not None and event != "resolved":
        lines += [f"So since: {_at(alert.since)}"]
    if alert.note:
        lines += [f"Acknowledged by {alert.acknowledged_by}: {' '.join(alert.note.split())}"]
    if event in ("opened", "worse", "reminder"):
        lines += [f"Acknowledge: backups alert ack {alert.id} --note …"]
    if settings.alerts.dashboard_url:
        lines += [f"{settings.alerts.dashboard_url.rstrip('/')}/health?alert={alert.id}"]
    return Text(subject, "\n".join(lines))


_SUFFIXES: dict[Event, str] = {"worse": " (worse)", "reminder": " (reminder)"}


def _opening(alert: Alert, event: Event, now: datetime) -> str:
    lasted = format_duration(max(now - alert.opened_at, now - now))
    return {
        "opened": f"{rule_of(alert.check).title}: noticed at {_at(now)}.",
        "worse": f"It got worse, at {_at(now)}.",
        "reminder": f"Still so at {_at(now)}, after {lasted}; nobody has acknowledged it.",
        "resolved": f"{alert.resolution} Resolved at {_at(alert.resolved_at or now)}, after {lasted}.",
    }[event]


def write_digest(told: Sequence[tuple[Alert, Event]], settings: Settings, now: datetime) -> Text:
    """Given many alerts that are told of at the same moment, worst first, return one message about all of them."""
    worst = next((_WORDS[alert.severity] for alert, event in told if event != "resolved"), "RESOLVED")
    counts = Counter("resolved" if event == "resolved" else alert.severity for alert, event in told)
    words = {"failure": "failed", "warning": "warning", "unknown": "unknown", "resolved": "resolved"}
    summary = ", ".join(f"{counts[key]} {word}" for key, word in words.items() if counts[key])
    sample = "[sample data] " if settings.sample else ""
    lines = [f"At {_at(now)}:", ""]
    for alert, event in told[:_LISTED]:
        head = "RESOLVED" if event == "resolved" else _WORDS[alert.severity]
        about = f"{alert.subject.name}: " if alert.subject.name else ""
        lines += [f"[{head}] {about}{rule_of(alert.check).title}{_SUFFIXES.get(event, '')}"]
        lines += [f"  {alert.resolution if event == 'resolved' else alert.sentence}"]
        lines += [f"  {text}" for text in (alert.action, alert.hint) if text and event != "resolved"]
        lines += [f"  Acknowledge: backups alert ack {alert.id} --note …"] if event != "resolved" else []
    if len(told) > _LISTED:
        lines += ["", f"… and {len(told) - _LISTED} more: backups alert list"]
    if settings.alerts.dashboard_url:
        lines += ["", f"{settings.alerts.dashboard_url.rstrip('/')}/health"]
    return Text(f"{sample}[{worst}] {len(told)} alerts: {summary}", "\n".join(lines))


def write_test(settings: Settings, actor: str, now: datetime) -> Text:
    """Return the message of ``backups alert test``."""
    databases = ", ".join(database.name for database in settings.databases) or "no database yet"
    sample = "[sample data] " if settings.sample else ""
    body = f"{actor} asked for this test at {_at(now)}.\n\nAlerts about {databases} will arrive here."
    return Text(f"{sample}[TEST] Backups: this channel works", body)


def _at(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
