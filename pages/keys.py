"""Keys: who can decrypt the backups, whether the offline key is still at hand, rotation, and the recovery sheet."""

from functools import partial

import streamlit as st

from dashboard.components.key_view import drills, holders, rotation_dialog
from dashboard.components.run_watch import watch
from dashboard.format import escape, number
from dashboard.guard import reported
from dashboard.navigation import page
from dashboard.session import installation, key_report
from dashboard.theme import SEVERITY_MARKS
from dashboard.visitor import exported
from dashboard.who import offered
from services.installation import Installation
from services.keys.holders import KeyReport
from services.keys.sheet import export_sheet
from services.keys.words import drill_words, log_words, recipients_words

FORMS = {"pdf": ("Print it (PDF)", "application/pdf"), "txt": ("As text", "text/plain")}


def show() -> None:
    inst = installation()
    st.markdown("# Keys", anchors=False)
    with reported():
        report = key_report()
        verdict(report)
        who(report)
        rotation(inst, report)
        drill(report)
        sheet(inst)


def verdict(report: KeyReport) -> None:
    many = len(report.present)
    severity = "ok" if many > 1 else "warning"
    st.markdown(f"{SEVERITY_MARKS[severity].inline()} **{escape(recipients_words(report))}**")
    if many == 1:
        st.markdown(
            "Make a second pair with `backups keygen`, keep its secret key offline, add its public key to "
            "BACKUP\\_RECIPIENTS, and encrypt what is stored anew."
        )


def who(report: KeyReport) -> None:
    st.markdown("## Who can decrypt", anchors=False)
    if not report.holders:
        st.info("Set BACKUP\\_RECIPIENTS: `backups keygen` makes a pair.", icon=":material/key:")
        return
    holders(report)
    if report.unencrypted:
        st.caption(f"{number(report.unencrypted)} stored backups are not encrypted.")


def rotation(inst: Installation, report: KeyReport) -> None:
    st.markdown("## Rotation", anchors=False)
    newest = next(iter(inst.catalog.runs.list(kind="rotate", limit=1)), None)
    if newest is not None and (newest.is_active or newest.id == st.query_params.get("run")):
        watch(inst, newest)
    if not report.waiting:
        st.markdown("Every stored backup that is to be encrypted is encrypted to the present keys.")
        return
    st.markdown(
        f"**{number(report.waiting)}** stored backups are encrypted to other keys than new ones. Keep the old secret "
        "key until they are encrypted anew, or have gone."
    )
    if log := log_words(inst.settings):
        st.caption(escape(log))
    if not offered("keys.rotate"):
        return
    if st.button("Encrypt them anew …", icon=":material/key_vertical:", disabled=bool(newest and newest.is_active)):
        st.query_params["do"] = "rotate"
    if st.query_params.get("do") == "rotate":
        rotation_dialog(inst)


def drill(report: KeyReport) -> None:
    st.markdown("## Drill", anchors=False)
    words = drill_words(report)
    if words:
        proven = report.due is not None and report.due.proven_at is not None
        severity = "warning" if report.is_overdue else "ok" if proven else "unknown"
        st.markdown(f"{SEVERITY_MARKS[severity].inline()} {escape(words)}")
    st.markdown("Whoever keeps the key proves it on a machine with these settings; the key is not stored, nor logged:")
    st.code("backups keys drill --identity key.txt", language=None, wrap_lines=True)
    drills(report)


def sheet(inst: Installation) -> None:
    st.markdown("## Recovery sheet", anchors=False)
    st.markdown(
        "What to install, where the files are, which key, and the exact commands for the newest proven backup of each "
        "database. It holds no secret: print it, and keep it with the recovery key."
    )
    with st.container(horizontal=True):
        for form, (label, mime) in FORMS.items():
            st.download_button(
                label, exported(f"recovery-sheet.{form}", partial(export_sheet, inst, form)),
                f"recovery-sheet.{form}", mime, key=f"sheet-{form}", icon=":material/download:", on_click="ignore",
            )  # fmt: skip
    st.page_link(page("inventory"), label="The commands for any other backup", icon=":material/inventory_2:")


show()
