"""The list of checks, by subject, what is wrong first."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from dashboard.format import ago, escape, instant
from dashboard.theme import SEVERITY_MARKS
from services.health.model import WORST_FIRST, HealthCheck, HealthReport, Subject, check_words

KIND_ICONS = {
    "installation": ":material/dns:",
    "worker": ":material/engineering:",
    "database": ":material/database:",
    "storage": ":material/hard_drive:",
}
SEVERITY_WORDS = {"ok": "well", "warning": "warning", "failure": "failed", "unknown": "unknown"}


def summary(report: HealthReport) -> str:
    """Return Markdown for how many checks stand how: icon, colour and word."""
    counts = ((severity, report.count(severity)) for severity in WORST_FIRST)
    return " · ".join(SEVERITY_MARKS[s].inline(f"{n} {SEVERITY_WORDS[s]}") for s, n in counts if n)


def health_list(report: HealthReport) -> None:
    """Draw a box for each subject: what is not well in full, the rest folded away."""
    groups: dict[Subject, list[HealthCheck]] = {}
    for check in report.checks:
        groups.setdefault(check.subject, []).append(check)
    boxes = list(groups.items())
    for start in range(0, len(boxes), 2):
        for column, (subject, checks) in zip(st.columns(2), boxes[start : start + 2], strict=False):
            with column.container(border=True):
                _box(report, subject, checks)


def _box(report: HealthReport, subject: Subject, checks: list[HealthCheck]) -> None:
    worst = checks[0].severity
    mark = SEVERITY_MARKS[worst]
    name = escape(subject.name) or subject.kind.capitalize()
    kind = f" :gray[:small[{subject.kind}]]" if subject.name else ""
    badge = mark.badge(SEVERITY_WORDS[worst])
    st.markdown(f"### {KIND_ICONS[subject.kind]} {name}{kind} {badge}", anchors=False)
    wrong = [check for check in checks if check.severity != "ok"]
    fine = [check for check in checks if check.severity == "ok"]
    if wrong:
        st.markdown("\n".join(f"- {_line(report, check)}" for check in wrong))
    if fine and wrong:
        with st.expander(f"{len(fine)} {'check is' if len(fine) == 1 else 'checks are'} well"):
            _fine(report, fine)
    else:
        _fine(report, fine)


def _fine(report: HealthReport, checks: Iterable[HealthCheck]) -> None:
    lines = [f"- {_line(report, check)}" for check in checks]
    if lines:
        st.markdown("\n".join(lines))


def _line(report: HealthReport, check: HealthCheck) -> str:
    parts = [f"{SEVERITY_MARKS[check.severity].inline()} **{check_words(check.name)}** · {escape(check.sentence)}"]
    if check.since is not None and check.severity != "ok":
        parts.append(f" :gray[· since {instant(check.since)} ({ago(check.since, report.at)})]")
    if check.hint and check.severity != "ok":
        parts.append(f"  \n  :gray[{escape(check.hint)}]")
    return "".join(parts)
