"""The audit log as a page shows it: whether it can be believed, filters, rows, and one row in full."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from dashboard.format import ago, counted, escape, instant, naive
from dashboard.theme import SEVERITY_MARKS, Mark
from services.access.table import PERMISSIONS
from services.audit.actions import OWN_ACTIONS
from services.audit.findings import Verdict
from services.audit.model import OUTCOMES, AuditRow, Outcome
from services.audit.query import PAGE, AuditPage, AuditQuery, AuditState
from services.printable import visible

COLUMNS = ("At (UTC)", "Who", "What", "Outcome", "On", "Why", "From", "No.")
_PERIODS = {"24 hours": 1, "7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365}
_SIGNS: dict[str, str] = {"begun": "… begun", "done": "✓ done", "refused": "⊘ refused", "failed": "✕ failed"}
_MARKS: dict[str, Mark] = {
    "begun": Mark(":material/hourglass_top:", "gray"),
    "done": SEVERITY_MARKS["ok"],
    "refused": Mark(":material/block:", "yellow"),
    "failed": SEVERITY_MARKS["failure"],
}
_FILTERS = ("by", "action", "outcome", "target", "within")


def chain_state(quick: Verdict, state: AuditState, now: datetime) -> None:
    """Draw in one line whether the log can be believed, and who outside of the catalogue vouches for it."""
    last = state.verified
    broken = quick.severity == "failure" or (last is not None and last.outcome == "failed")
    if broken:
        said = quick.sentence if quick.severity == "failure" or last is None else _first_finding(last)
        st.error(
            f"{escape(said)} `backups audit verify` lists all that is found; docs/audit.md says what to do then.",
            icon=":material/gpp_bad:",
            title="The audit log is not what was written",
        )
    rows = "nothing recorded yet" if not quick.newest else f"{counted(quick.newest, 'row')} in one chain"
    # Green is what was verified from end to end, and nothing else.
    known = "failure" if broken else "unknown" if last is None else quick.severity
    parts = [SEVERITY_MARKS[known].inline("broken" if broken else rows)]
    if quick.severity == "warning" and not broken:
        parts.append(escape(quick.sentence))
    parts.append(f"verified from end to end {ago(last.at, now)}" if last is not None else "not verified yet")
    anchor = state.anchored
    if anchor is not None:
        number = anchor.values.get("number")
        parts.append(f"newest anchor: row {number} in **{escape(anchor.target)}**, {ago(anchor.at, now)}")
    else:
        parts.append("not anchored in a storage yet")
    st.markdown(" · ".join(parts))


def audit_filters(found: AuditPage, now: datetime, *, everybody: bool) -> AuditQuery:
    """Draw the filters in one row, each bound to the URL; ``everybody``: whether there is a choice of people."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        by = _choice("Who", found.actors, "by", 220) if everybody else None
        action = _choice("What", found.actions, "action", 170)
        outcome = _choice("Outcome", OUTCOMES, "outcome", 130)
        target = st.text_input(
            "On", key="target", bind="query-params", placeholder="name of a backup, …", width=200,
            icon=":material/search:",
        )  # fmt: skip
        period = _choice("Within", list(_PERIODS), "within", 130)
    since = now - timedelta(days=_PERIODS[period]) if period else None
    known: Outcome | None = next((each for each in OUTCOMES if each == outcome), None)
    return AuditQuery(by, action, known, target or None, since)


def asked_page() -> int:
    """Return the page that the URL asks for, from 1 on; other filters begin with the first one again."""
    chosen = [st.session_state.get(key) for key in _FILTERS]
    if st.session_state.get("audit-filters", chosen) != chosen:
        st.query_params.pop("from", None)
    st.session_state["audit-filters"] = chosen
    asked = st.query_params.get("from", "0")
    return int(asked) // PAGE + 1 if asked.isascii() and asked.isdigit() and len(asked) < 12 else 1


def audit_pager(page: int, shown: int, total: int) -> None:
    """Draw the way to newer and older rows, where there are any."""
    if total <= PAGE:
        return
    first = (page - 1) * PAGE
    with st.container(horizontal=True, vertical_alignment="center"):
        for label, icon, to, there in (
            ("Newer rows", ":material/chevron_left:", page - 1, page > 1),
            ("Older rows", ":material/chevron_right:", page + 1, first + shown < total),
        ):
            if st.button(label, icon=icon, disabled=not there):
                st.query_params["from"] = str((to - 1) * PAGE)
                st.rerun()
        st.caption(f"Rows {first + 1:,} to {first + shown:,} of {total:,}")


def audit_frame(rows: Sequence[AuditRow]) -> pd.DataFrame:
    """Return one row a row, with COLUMNS; ``At (UTC)`` naive, ``No.`` a number, the rest text."""
    values = [
        (
            naive(row.at), visible(row.actor), visible(row.action), _SIGNS.get(row.outcome, visible(row.outcome)),
            visible(f"{row.target_kind} {row.target}".strip()), visible(row.reason), visible(row.origin), row.number,
        )
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(values, columns=list(COLUMNS))


def audit_table(rows: Sequence[AuditRow], total: int, *, filtered: bool) -> AuditRow | None:
    """Draw the rows; return the one that is selected. ``filtered``: whether there are others."""
    if not rows:
        st.info(
            "Whatever anybody asks for from now on is written here: commands, sign-ins, downloads, refusals."
            if not filtered
            else "Choose fewer filters, or a longer time.",
            icon=":material/receipt_long:",
            title="Nothing is recorded here",
        )
        return None
    st.caption(f"{counted(total, 'row')}, newest first. Select one for all that is known of it.")
    event = st.dataframe(
        audit_frame(rows),
        hide_index=True,
        key=f"audit-{st.session_state.get('audit-look', 0)}",
        on_select="rerun",
        selection_mode="single-row",
        height=min(640, 38 + 35 * len(rows)),
        alt=f"{len(rows)} rows of the audit log",
        column_config={
            "No.": st.column_config.NumberColumn(format="localized", width=70),
            "At (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", pinned=True, width=138),
            "Who": st.column_config.TextColumn(width=180),
            "What": st.column_config.TextColumn(width=130),
            "Outcome": st.column_config.TextColumn(width=84),
            "On": st.column_config.TextColumn(width=240),
            "Why": st.column_config.TextColumn(width=220),
            "From": st.column_config.TextColumn(width=120),
        },
    )
    picked = event["selection"]["rows"]
    return rows[picked[0]] if picked else None


def row_details(row: AuditRow) -> None:
    """Draw one row in full."""
    mark = _MARKS.get(row.outcome, SEVERITY_MARKS["unknown"])
    known = PERMISSIONS.get(row.action)
    words = OWN_ACTIONS.get(row.action) or (known.what if known is not None else "")
    st.markdown(f"{mark.inline(row.outcome if row.outcome in _MARKS else 'unknown')} · **{escape(row.action)}**")
    if words:
        st.markdown(f":gray[{escape(words)}]")
    facts = {
        "At": instant(row.at),
        "Who": row.actor,
        "From": row.origin,
        "On": f"{row.target_kind} {row.target}".strip() or "the installation",
        "Why": row.reason or "no reason was given",
    }
    st.markdown("  \n".join(f"**{name}:** {escape(value)}" for name, value in facts.items()))
    if row.values:
        st.markdown("**What was asked, and what came of it**")
        st.code(json.dumps(row.values, indent=1, ensure_ascii=True), language="json", wrap_lines=True)
    with st.expander("Its place in the chain", icon=":material/link:"):
        for label, value in (("Hash", row.hash), ("Hash of the row before it", row.previous), ("Seal", row.seal)):
            st.caption(label)
            st.code(visible(value), language=None, wrap_lines=True)


def _first_finding(row: AuditRow) -> str:
    found = row.values.get("findings")
    return str(found[0]) if isinstance(found, list) and found else "It was found broken."


def _choice(label: str, options: Sequence[str], key: str, width: int) -> str | None:
    return st.selectbox(label, options, index=None, key=key, bind="query-params", placeholder="all", width=width)
