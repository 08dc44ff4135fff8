"""What a server is set to for point in time: each check with the command that mends it."""

from __future__ import annotations

import streamlit as st

from dashboard.format import advice, escape
from dashboard.theme import CHECK_MARKS
from services.pitr.status import PitrStatus
from services.pitr.status_check import StatusCheck


def point_checks(status: PitrStatus) -> None:
    """Draw the checks, what is wrong in full; what is well folds into one line."""
    wrong = [check for severity in ("blocking", "warning") for check in status.checks if check.severity == severity]
    fine = [check for check in status.checks if check.severity == "ok"]
    if not wrong:
        st.markdown(f"{CHECK_MARKS['ok'].inline()} **Nothing is left to set up** · {len(fine)} checks are well")
    for check in wrong:
        _check(check)
    if fine:
        label = f"{len(fine)} {'check is' if len(fine) == 1 else 'checks are'} well"
        with st.expander(CHECK_MARKS["ok"].inline(label)):
            for check in fine:
                st.markdown(_line(check))
    if any(check.remedy is not None for check in wrong):
        st.markdown("`backups pitr setup` prints these in order; `--apply` does what SQL can do.")


def _check(check: StatusCheck) -> None:
    with st.container(border=True, gap="small"):
        st.markdown(_line(check))
        if check.remedy is not None:
            # The colours of SQL are too pale for small letters.
            st.code(check.remedy.text(), language=None, wrap_lines=True)


def _line(check: StatusCheck) -> str:
    mark = CHECK_MARKS[check.severity]
    word = "" if check.severity == "ok" else f"{check.severity} · "
    line = f"{mark.inline()} {word}**{escape(check.name)}** · {escape(check.message)}"
    return f"{line}  \n:gray[{advice(check.hint)}]" if check.hint else line
