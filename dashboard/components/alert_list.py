"""Open alerts with the form that acknowledges one; alerts that were; messages that wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from dashboard.components.health_list import KIND_ICONS, SEVERITY_WORDS
from dashboard.fitted import fitted
from dashboard.format import advice, ago, day, escape, naive
from dashboard.theme import SEVERITY_MARKS
from dashboard.who import may
from services.alerts.model import Alert
from services.alerts.rules import RULES, rule_of
from services.alerts.store import HistoryQuery
from services.commands import MAX_NOTE
from services.notify.outbox import Delivery, Message
from services.status import age

HISTORY_COLUMNS = ("Opened (UTC)", "Lasted", "About", "Alert", "What was wrong", "Resolved (UTC)", "Acknowledged")
MESSAGE_COLUMNS = ("Written (UTC)", "State", "Channel", "Message", "Why it waits", "Attempts",
                   "Next attempt (UTC)", "Sent (UTC)")  # fmt: skip
_PERIODS = {"7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365}


def open_alert(alert: Alert, now: datetime, *, asked: bool) -> str | None:
    """Draw one open alert; return the note with which somebody acknowledges it.

    ``asked``: the link of a message was followed, so its form is there without another click.
    """
    mark = SEVERITY_MARKS[alert.severity]
    about = f"{KIND_ICONS[alert.subject.kind]} {escape(alert.subject.name) or alert.subject.kind.capitalize()}"
    badge = mark.badge(SEVERITY_WORDS[alert.severity])
    note = None
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"### {rule_of(alert.check).title} · {about} {badge}", anchors=False)
        locked = not may("alert.acknowledge")
        if not alert.is_acknowledged and not asked and not locked:
            with st.popover("Acknowledge", icon=":material/person_check:", type="tertiary", key=f"pop-{alert.id}"):
                note = _acknowledge(alert)
    lines = [escape(alert.sentence)]
    if alert.action:
        lines.append(f":blue[:material/backup:] {escape(alert.action)}")
    if alert.hint:
        lines.append(f":gray[{advice(alert.hint)}]")
    if alert.well_since is not None:
        well = SEVERITY_MARKS["ok"].inline(f"Well again since {day(alert.well_since)}")
        lines.append(f"{well}; it resolves when it stays so.")
    if alert.is_acknowledged:
        who = f"by {escape(alert.acknowledged_by or '')}, {ago(alert.acknowledged_at, now)}"
        lines.append(f":blue[:material/person_check: **Acknowledged**] {who}: {escape(alert.note)}")
    st.markdown("  \n".join(lines))
    if asked and not alert.is_acknowledged and not locked:
        note = _acknowledge(alert)
    st.caption(f"Opened {day(alert.opened_at)}, {ago(alert.opened_at, now)}{_since(alert)} · {_told(alert, now)}")
    return note


def _since(alert: Alert) -> str:
    return f" · so since {day(alert.since)}" if alert.since is not None else ""


def _told(alert: Alert, now: datetime) -> str:
    last = ago(alert.notified_at, now)
    return f"said {alert.messages} times, last {last}" if alert.messages > 1 else f"said once, {last}"


def _acknowledge(alert: Alert) -> str | None:
    with st.form(f"ack-{alert.id}", border=False):
        note = st.text_input(
            "Who does what about it, and until when",
            key=f"note-{alert.id}",
            max_chars=MAX_NOTE,
            placeholder="Ada enlarges the bucket until tomorrow",
        )
        st.caption("It is not said again then, until it gets worse or resolves.")
        clicked = st.form_submit_button("Acknowledge", type="primary", icon=":material/person_check:")
    return (note or "") if clicked else None


def history_filters(databases: Sequence[str], now: datetime) -> HistoryQuery:
    """Draw the filters of the history, each bound to the URL."""
    titles = {rule.title: name for name, rule in RULES.items() if rule.fires_on}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        database = _choice("Database", list(databases), "db", 200)
        title = _choice("Alert", sorted(titles), "alert_kind", 320)
        state = _choice("State", ["open", "resolved"], "state", 140)
        period = _choice("Opened within", list(_PERIODS), "within", 160)
    since = now - timedelta(days=_PERIODS[period]) if period else None
    return HistoryQuery(database, titles.get(title or ""), state, since)


def _choice(label: str, options: Sequence[str], key: str, width: int) -> str | None:
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="all", width=width)


def history_frame(alerts: Sequence[Alert], now: datetime) -> pd.DataFrame:
    """Return one row an alert, with HISTORY_COLUMNS; times naive UTC, the rest text."""
    rows = [
        (
            _naive(a.opened_at), age((a.resolved_at or now) - a.opened_at) + ("" if a.resolved_at else ", open"),
            str(a.subject), rule_of(a.check).title, " ".join(a.sentence.split()), _naive(a.resolved_at),
            f"{a.acknowledged_by}: {' '.join(a.note.split())}" if a.is_acknowledged else "",
        )
        for a in alerts
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))
    return frame.astype(dict.fromkeys(("Opened (UTC)", "Resolved (UTC)"), "datetime64[ns]"))


def message_frame(messages: Sequence[Message]) -> pd.DataFrame:
    """Return one row a message, with MESSAGE_COLUMNS; times naive UTC."""
    signs = {"waiting": "… waiting", "sent": "✓ sent", "given up": "✕ given up"}
    rows = [
        (
            _naive(m.created_at), signs[m.state], m.channel, m.subject, m.error, m.attempts,
            _naive(m.next_attempt_at), _naive(m.sent_at),
        )
        for m in messages
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(MESSAGE_COLUMNS))
    times = ("Written (UTC)", "Next attempt (UTC)", "Sent (UTC)")
    return frame.astype(dict.fromkeys(times, "datetime64[ns]"))


def alert_history(alerts: Sequence[Alert], now: datetime) -> None:
    """Draw the history as a table."""
    if not alerts:
        st.info("No alert fits these filters: nothing of the kind was ever wrong, or nobody looked.")
        return
    stamp = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss")
    frame = history_frame(alerts, now)
    st.dataframe(
        frame,
        hide_index=True,
        height="content" if len(alerts) <= 10 else 420,
        placeholder="–",
        alt=f"{len(alerts)} alerts, newest first",
        column_config=fitted(frame, {"Opened (UTC)": stamp, "Resolved (UTC)": stamp}),
    )


def deliveries(messages: Sequence[Message], found: Delivery, channels: Sequence[str], now: datetime) -> None:
    """Draw where messages go, and what became of them."""
    if not channels:
        st.info(
            "Nobody is told: alerts are on this page only. Set BACKUP\\_ALERT\\_EMAIL with BACKUP\\_SMTP\\_URL, "
            "BACKUP\\_ALERT\\_SLACK or BACKUP\\_ALERT\\_URLS, then try them with `backups alert test`.",
            icon=":material/notifications_off:",
            title="No channel is set",
        )
    else:
        last = f"last accepted {ago(found.last_sent_at, now)}" if found.last_sent_at else "nothing was sent yet"
        waiting = (
            SEVERITY_MARKS["warning"].inline(f"{found.waiting} waiting, the oldest {ago(found.oldest_waiting_at, now)}")
            if found.waiting
            else SEVERITY_MARKS["ok"].inline("nothing waits")
        )
        st.markdown(f"{waiting} · {last} · {' · '.join(f'**{escape(channel)}**' for channel in channels)}")
    if messages:
        stamp = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss")
        frame = message_frame(messages)
        st.dataframe(
            frame,
            hide_index=True,
            height="content" if len(messages) <= 8 else 320,
            placeholder="–",
            alt=f"{len(messages)} messages, those that wait first",
            column_config=fitted(frame, dict.fromkeys(("Written (UTC)", "Next attempt (UTC)", "Sent (UTC)"), stamp)),
        )


def _naive(at: datetime | None) -> pd.Timestamp | None:
    return None if at is None else naive(at)
