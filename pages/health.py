"""Health and alerts: what is wrong now, who looks after it, every check with its threshold, and who was told."""

import streamlit as st

from dashboard.components.alert_list import alert_history, deliveries, history_filters, open_alert
from dashboard.components.health_list import health_list, summary
from dashboard.components.worker_list import worker_list
from dashboard.format import escape, instant
from dashboard.guard import reported
from dashboard.session import installation, remember_message
from dashboard.theme import SEVERITY_MARKS
from dashboard.who import actor, offered
from services.alerts.board import AlertBoard, load_board
from services.alerts.store import find_alert
from services.commands import acknowledge_alert
from services.errors import BackupsError
from services.installation import Installation


def show() -> None:
    inst = installation()
    st.markdown("# Health and alerts", anchors=False)
    with reported():
        verdict, alerts, checks, running, past, sent = (st.container() for _ in range(6))
        with past:
            st.markdown("## History", anchors=False)
            wanted = history_filters([database.name for database in inst.settings.databases], inst.clock())
        board = load_board(inst, wanted)
        with verdict:
            say(board)
        with alerts:
            opened(inst, board)
        with checks:
            st.markdown("## Checks", anchors=False)
            health_list(board.report)
        with running:
            st.markdown("## Workers", anchors=False)
            worker_list(board.workers, board.version, board.report.at)
        with past:
            alert_history(board.history, board.report.at)
        with sent:
            st.markdown("## Deliveries", anchors=False)
            deliveries(board.messages, board.delivery, board.channels, board.report.at)


def say(board: AlertBoard) -> None:
    st.markdown(summary(board.report) or SEVERITY_MARKS["unknown"].inline("nothing is checked"))
    st.caption(f"As of {instant(board.report.at)} · every check beside its threshold, read when this page is opened")
    if not board.looked:
        st.info(
            "Alerts open once a minute, while a worker or this dashboard runs. `backups alert check` looks at once.",
            icon=":material/hourglass_top:",
        )


def opened(inst: Installation, board: AlertBoard) -> None:
    many = len(board.open)
    st.markdown(f"## {many} open {'alert' if many == 1 else 'alerts'}" if many else "## No open alert", anchors=False)
    asked = st.query_params.get("alert")
    if asked and asked not in [alert.id for alert in board.open]:
        gone = find_alert(inst.catalog.engine, asked)
        st.info(
            escape(f"{gone.sentence} {gone.resolution}"), icon=":material/task_alt:", title="This alert has resolved"
        )
    if board.open:
        offered("alert.acknowledge")
    for alert in board.open:
        with st.container(border=True):
            note = open_alert(alert, board.report.at, asked=alert.id == asked)
        if note is not None:
            acknowledge(inst, alert.id, note)


def acknowledge(inst: Installation, alert_id: str, note: str) -> None:
    try:
        acknowledge_alert(inst, alert_id, note=note, actor=actor())
    except BackupsError as error:
        remember_message("error", escape(str(error)))
    else:
        remember_message("success", "Acknowledged: it is said again only when it gets worse, and when it resolves.")
    st.rerun()


show()
