"""One database at a glance: its state, the three numbers that decide it with their thresholds, and its last month."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from dashboard.charts.strip import day_strip, strip_frame, strip_words
from dashboard.components.chart import draw_chart
from dashboard.components.figures import four_cells
from dashboard.components.lists import POINT_KINDS, point_link
from dashboard.components.run_view import step_words
from dashboard.format import NOTHING, ago, day, duration, escape, left, percent
from dashboard.navigation import page
from dashboard.theme import RUN_MARKS, SEVERITY_MARKS, STATE_MARKS, Tone, palette
from services.catalog.model import RUN_WORDS
from services.overview import Month
from services.status import DatabaseStatus, Reason, age

STRIP_LEGEND = (
    ":green[■] slot satisfied, or good · :yellow[▄] late, or partial · :red[✖] missed, or failed · "
    ":blue[□] still open · :gray[–] none · :blue[◆] restore test passed"
)


def status_card(status: DatabaseStatus, month: Month, *, theme: str | None) -> None:
    """Draw the card of one database. The caller gives it its container."""
    mark = STATE_MARKS[status.state]
    with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
        st.markdown(f"## {escape(status.database)} {mark.badge(status.state)}", anchors=False)
        st.page_link(
            page("run_backup"),
            label="Back up now",
            icon=":material/backup:",
            query_params={"database": status.database},
        )
    # The page's banner says that the worker is silent; a card only where that alone decides its state.
    said = ("ok", "unknown") if status.state != "UNKNOWN" else ("ok",)
    lines = [_line(reason) for reason in status.reasons if reason.severity not in said]
    lines += [
        f"{RUN_MARKS[run.state].inline(RUN_WORDS[run.kind])} · {step_words(run, status.now)}" for run in status.active
    ]
    if lines:
        st.markdown("  \n".join(lines))
    for run in status.active:
        if run.kind in POINT_KINDS:
            point_link(run, f"Watch the {RUN_WORDS[run.kind].lower()}")
    if status.evidence.backups_ever == 0:
        return  # rows of dashes would say less than the sentence above
    _numbers(status)
    frame = strip_frame(month.days)
    words = f"Last {len(frame)} days (UTC): {strip_words(frame)}"
    draw_chart(day_strip, frame, palette(theme), alt=f"{status.database}. {words}", key=f"strip-{status.database}")
    st.caption(words)


def protected_line(status: DatabaseStatus) -> str:
    """Return the line of a database that needs nobody, as the label of its folded card."""
    said = next((escape(reason.text) for reason in status.reasons if reason.text.startswith("Last good")), "")
    return f"{STATE_MARKS[status.state].inline()} **{escape(status.database)}** · {said}".rstrip(" ·")


def _line(reason: Reason) -> str:
    advice = f" :gray[{escape(reason.hint)}]" if reason.hint else ""
    return f"{SEVERITY_MARKS[reason.severity].inline()} {escape(reason.text)}{advice}"


def _numbers(status: DatabaseStatus) -> None:
    evidence, promises, now = status.evidence, status.evidence.promises, status.now
    good, proof = evidence.last_good, evidence.last_passed
    columns = four_cells()
    with columns[0]:
        old = now - good.snapshot_at if good else None
        _number(
            "Last good backup",
            ago(good.snapshot_at if good else None, now),
            _against(old, promises.rpo, "RPO"),
            f"{day(good.snapshot_at)} · {'proven' if good.proven_at else 'not proven'}{_copies(status)}"
            if good
            else "nothing to restore from",
        )
    with columns[1]:
        tested = now - proof.finished_at if proof else None
        last = evidence.last_test
        failed_since = proof and last and last.outcome == "failed" and last.finished_at > proof.finished_at
        _number(
            "Proven by a restore test",
            ago(proof.finished_at if proof else None, now),
            ("a later test failed", "red")
            if failed_since
            else _against(tested, promises.restore_test_max_age, "limit"),
            day(proof.finished_at) if proof else "none has passed",
        )
    with columns[2]:
        took = proof.seconds if proof else None
        limit = promises.rto.total_seconds()
        threshold = f"RTO {age(promises.rto)}" + (f" · {percent(took, limit)}" if took is not None else "")
        _number(
            "A restore takes",
            duration(took),
            (threshold, "gray" if took is None else "green" if took <= limit else "red"),
            "measured by that test" if took is not None else "no test has measured it",
        )
    with columns[3]:
        oldest = evidence.oldest_good_at
        _number(
            "Reaches back",
            age(now - oldest) if oldest else NOTHING,
            (f"{evidence.good_backups} good backup{'' if evidence.good_backups == 1 else 's'}", "gray"),
            f"to {day(oldest)}" if oldest else "no recovery window",
        )


def _copies(status: DatabaseStatus) -> str:
    good, wanted = status.evidence.last_good, status.evidence.wanted_copies
    return f" · {good.copies}/{wanted} copies" if good is not None and wanted > 1 else ""


def _against(used: timedelta | None, limit: timedelta, word: str) -> tuple[str, Tone]:
    if used is None:
        return f"{word} {age(limit)}", "gray"
    return f"{word} {age(limit)} · {left(used, limit)}", "green" if used <= limit else "red"


def _number(label: str, value: str, threshold: tuple[str, Tone], below: str) -> None:
    words, tone = threshold
    with st.container(gap=None):
        st.metric(label, value, delta=words, delta_arrow="off", delta_color=tone)
        st.caption(below)
