"""The list of checks, by subject, what is wrong first."""

from __future__ import annotations

import streamlit as st

from dashboard.format import advice, day, escape
from dashboard.theme import SEVERITY_MARKS
from services.health.model import WORST_FIRST, HealthCheck, HealthReport, Subject, check_words

KIND_ICONS = {
    "installation": ":material/dns:",
    "worker": ":material/engineering:",
    "database": ":material/database:",
    "storage": ":material/hard_drive:",
}
ROOMY = 6
"""With more subjects than this, those that need nobody fold into one line."""
SEVERITY_WORDS = {"ok": "well", "warning": "warning", "failure": "failed", "unknown": "unknown"}


def summary(report: HealthReport) -> str:
    """Return Markdown for how many checks stand how: icon, colour and word."""
    counts = ((severity, report.count(severity)) for severity in WORST_FIRST)
    return " · ".join(SEVERITY_MARKS[s].inline(_counted(n, s)) for s, n in counts if n)


def _counted(count: int, severity: str) -> str:
    return f"{count} {SEVERITY_WORDS[severity]}{'s' if severity == 'warning' and count > 1 else ''}"


def health_list(report: HealthReport) -> None:
    """Draw a box for each subject, what is wrong first and in full; of many, those that are well fold into one."""
    groups: dict[Subject, list[HealthCheck]] = {}
    for check in report.checks:
        groups.setdefault(check.subject, []).append(check)
    wrong = [box for box in groups.items() if box[1][0].severity != "ok"]
    well = [box for box in groups.items() if box[1][0].severity == "ok"]
    if len(groups) <= ROOMY:
        _boxes(wrong + well)
        return
    _boxes(wrong)
    if well:
        with st.expander(SEVERITY_MARKS["ok"].inline(f"{len(well)} others are well in every check")):
            _boxes(well)


def _boxes(boxes: list[tuple[Subject, list[HealthCheck]]]) -> None:
    for start in range(0, len(boxes), 2):
        for column, (subject, checks) in zip(st.columns(2), boxes[start : start + 2], strict=False):
            with column.container(border=True, height="stretch"):
                _box(subject, checks)


def _box(subject: Subject, checks: list[HealthCheck]) -> None:
    worst = checks[0].severity
    name = escape(subject.name) or subject.kind.capitalize()
    kind = f" :gray[:small[{subject.kind}]]" if subject.name else ""
    badge = SEVERITY_MARKS[worst].badge(SEVERITY_WORDS[worst])
    st.markdown(f"### {KIND_ICONS[subject.kind]} {name}{kind} {badge}", anchors=False)
    for check in checks:
        if check.severity != "ok":
            st.markdown(_line(check))
    fine = [_line(check) for check in checks if check.severity == "ok"]
    if fine and worst != "ok":
        with st.expander(f"{len(fine)} {'check is' if len(fine) == 1 else 'checks are'} well"):
            st.markdown("  \n".join(fine))
    elif fine:
        st.markdown("  \n".join(fine))


def _line(check: HealthCheck) -> str:
    words, sentence = check_words(check.name), check.sentence
    # "Last good backup · Last good backup 3 h ago" would say it twice.
    said = sentence.removeprefix(f"{words} ")
    rest = escape(said) if said != sentence else f"· {escape(sentence)}"
    line = f"{SEVERITY_MARKS[check.severity].inline()} **{words}** {rest}"
    if check.severity == "ok":
        return line
    remarks = [f"Since {day(check.since)}."] if check.since is not None else []
    remarks += [advice(check.hint)] if check.hint else []
    return f"{line}  \n:gray[{' '.join(remarks)}]" if remarks else line
