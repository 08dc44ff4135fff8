"""Overview: could I restore right now, to when, and who says so?"""

import streamlit as st

from dashboard.components.lists import activity, no_database, storages
from dashboard.components.status_card import STRIP_LEGEND, protected_line, status_card
from dashboard.format import ago, escape, instant, short
from dashboard.guard import reported
from dashboard.navigation import page
from dashboard.session import key_report, open_alert_counts, overview
from dashboard.theme import SEVERITY_MARKS
from services.health.model import WORST_FIRST
from services.keys.holders import KeyReport
from services.keys.words import drill_words
from services.overview import Overview
from services.status import DatabaseStatus

ROOMY = 6  # with more databases than this, those that need nobody fold into one line each
BUSY, IDLE = 1.0, 10.0  # seconds between two looks


def show() -> None:
    busy = bool(overview().active)
    st.fragment(draw, run_every=BUSY if busy else IDLE)(busy)


def draw(was_busy: bool) -> None:
    with reported():
        seen = overview()
        if bool(seen.active) != was_busy:
            st.rerun()  # the fragment's interval is set when the page is drawn
        verdict(seen)
        databases(seen)
        if seen.storages:
            st.markdown("## Storage", anchors=False)
            storages(seen.storages)
        st.markdown("## Recent activity", anchors=False)
        activity(seen.recent, seen.now)


def verdict(seen: Overview) -> None:
    found = seen.verdict
    st.markdown(f"# {SEVERITY_MARKS[found.severity].inline()} {escape(found.sentence)}", anchors=False)
    if found.detail:
        st.markdown(escape(short(found.detail, 240)))
    beat = seen.worker.heartbeat_at
    heard = "worker last heard" if seen.worker_problem else "worker alive"
    worker = f"{heard} {ago(beat, seen.now)}" if beat else "no worker runs"
    st.caption(f"As of {instant(seen.now)} · {worker}")
    alerts_line(open_alert_counts())
    keys_line(key_report())
    if seen.worker_problem is not None:
        hint = "Nothing that is queued starts, and nothing scheduled runs. " + seen.worker_problem.hint
        st.warning(escape(hint), icon=":material/link_off:", title=escape(seen.worker_problem.text))


def alerts_line(counts: dict[str, int]) -> None:
    many = sum(counts.values())
    if many:
        worst = next(severity for severity in WORST_FIRST if severity in counts)
        mark, label = SEVERITY_MARKS[worst], f"{many} open {'alert' if many == 1 else 'alerts'}"
        st.page_link(page("health"), label=f":{mark.tone}[{label}]", icon=mark.icon)


def keys_line(report: KeyReport) -> None:
    words = drill_words(report)
    if words:
        tone = SEVERITY_MARKS["warning"].tone if report.is_overdue else "gray"
        st.page_link(page("keys"), label=f":{tone}[{escape(words)}]", icon=":material/key:")


def databases(seen: Overview) -> None:
    if not seen.statuses:
        no_database()
        return
    for status in seen.statuses:
        if len(seen.statuses) > ROOMY and status.state == "PROTECTED" and not status.active:
            folded(status, seen)
        else:
            with st.container(border=True):
                status_card(status, seen.months[status.database], theme=st.context.theme.type)
    if any(status.evidence.backups_ever for status in seen.statuses):
        st.markdown(f":small[{STRIP_LEGEND}]")


def folded(status: DatabaseStatus, seen: Overview) -> None:
    # Its card is made when it is opened: twenty of them would take longer than everything else on this page.
    line = st.expander(protected_line(status), key=f"card-{status.database}", on_change="rerun")
    if line.open:
        with line:
            status_card(status, seen.months[status.database], theme=st.context.theme.type)


show()
