"""Schedules: what comes due when, and what became of what was due."""

from collections.abc import Callable

import streamlit as st

from dashboard.components.schedule_details import change_form, history, schedule_facts
from dashboard.components.schedules_table import day_around, forget_selection, schedules_summary, schedules_table
from dashboard.format import escape
from dashboard.guard import reported, show_error
from dashboard.navigation import page
from dashboard.session import installation, last_seen, once, remember_message
from dashboard.who import actor, may, offered
from services.commands import pause_schedule, resume_schedule, run_schedule, set_schedule
from services.errors import BackupsError
from services.installation import Installation
from services.schedules.overview import ScheduleRow, find_schedule, load_schedules

WATCHED_ON = {"backup": "run_backup", "restore_test": "verify_and_restore", "verification": "verify_and_restore"}


def show() -> None:
    inst = installation()
    st.markdown("# Schedules", anchors=False)
    with reported():
        seen = load_schedules(inst)
        if not inst.settings.databases:
            st.info("Name a database in the settings first; it is then backed up daily.", icon=":material/database:")
            return
        if seen.not_in_force:
            st.info(
                "The settings take effect when a worker starts: `backups serve`, or `backups worker`.",
                icon=":material/lightbulb:",
                title="Nothing is scheduled yet",
            )
        schedules_summary(seen.rows, seen.now)
        day_around(seen.rows, seen.now, theme=st.context.theme.type)
        picked = schedules_table(seen.rows, seen.now)
        asked = st.query_params.get("schedule")
        if picked is not None:
            drawer(inst, picked)
        elif asked:
            drawer(inst, find_schedule(seen, asked))


def close() -> None:
    st.query_params.pop("schedule", None)
    forget_selection()


def drawer(inst: Installation, row: ScheduleRow) -> None:
    name = row.schedule
    st.query_params["schedule"] = name

    @st.dialog(f"`{name}`", width=560, position="right", icon=":material/calendar_clock:", on_dismiss=close)
    def details() -> None:
        with reported():
            now = inst.clock()
            schedule_facts(row, now)
            actions(inst, row)
            st.markdown("### Change", anchors=False)
            change = change_form(row, now) if offered("schedule.change") else None
            if change is not None:
                carry_out(
                    lambda: set_schedule(
                        inst, name, cron=change.cron, time_zone=change.time_zone, deadline=change.deadline,
                        actor=actor(), reason=change.reason,
                    ),
                    f"{escape(name)} is changed.",
                )  # fmt: skip
            history(row.versions, now)

    details()


def actions(inst: Installation, row: ScheduleRow) -> None:
    name, version = row.schedule, row.version
    newest = next(iter(inst.catalog.runs.list(database=version.database, kind=version.job, limit=1)), None)
    if not offered("schedule.run"):
        return
    with st.container(horizontal=True):
        clicked = st.button("Run now", icon=":material/play_arrow:", type="primary", key=f"run-{name}")
        key = once(f"schedule:{name}", last_seen(newest), clicked=clicked)
        if clicked:
            run_now(inst, row, key)
        if not may("schedule.change"):
            return
        if version.paused and st.button("Resume", icon=":material/resume:", key=f"resume-{name}"):
            carry_out(lambda: resume_schedule(inst, name, actor=actor()), f"{escape(name)} comes due again.")
        if version.cron and not version.paused and st.button("Pause", icon=":material/pause:", key=f"pause-{name}"):
            carry_out(lambda: pause_schedule(inst, name, actor=actor()), f"{escape(name)} is paused.")


def run_now(inst: Installation, row: ScheduleRow, key: str) -> None:
    try:
        run_id = run_schedule(inst, row.schedule, actor=actor(), idempotency_key=key)
    except BackupsError as error:
        show_error(error)
        return
    target = WATCHED_ON.get(row.version.job)
    if target is not None:
        st.switch_page(page(target), query_params={"run": run_id, "database": row.version.database})
    done(f"{escape(row.schedule)} was handed to the worker; its run is listed on the overview.")


def carry_out(command: Callable[[], object], words: str) -> None:
    try:
        command()
    except BackupsError as error:
        show_error(error)
    else:
        done(words)


def done(words: str) -> None:
    remember_message("success", words)
    close()
    st.rerun()


show()
