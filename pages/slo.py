"""SLO: how many slots were satisfied within their deadline, and why the others were not."""

import streamlit as st

from dashboard.components.slo_view import (
    by_day,
    databases_table,
    misses_table,
    numbers,
    verdict,
    window_and_database,
)
from dashboard.format import advice, day, escape
from dashboard.guard import reported
from dashboard.navigation import page
from dashboard.session import installation, service_level
from services.schedules.outcomes import SlotOutcome


def show() -> None:
    inst = installation()
    with reported():
        heading = st.container()
        days, database = window_and_database([database.name for database in inst.settings.databases])
        seen = service_level(days, database)
        with heading:
            verdict(seen)
        if not any(each.tally.slots or each.tally.open for each in seen.databases):
            st.info(
                "A slot is one due time of a backup schedule. They begin with the first start of a worker: "
                "`backups serve`, or `backups worker`; see the page Schedules.",
                icon=":material/calendar_clock:",
                title="Nothing has been due yet",
            )
            return
        numbers(seen)
        by_day(seen, theme=st.context.theme.type)
        if len(seen.databases) > 1:
            databases_table(seen)
        misses = sorted(
            (miss for each in seen.databases for miss in each.misses), key=lambda miss: miss.slot.due, reverse=True
        )
        picked = misses_table(misses)
        if picked is not None:
            links(picked)


def links(miss: SlotOutcome) -> None:
    # The table cuts a long cause short.
    st.markdown(f"**{escape(miss.slot.database)}**, due {day(miss.slot.due)} · {advice(miss.cause)}")
    with st.container(horizontal=True):
        if miss.run_id is not None:
            st.page_link(
                page("run_backup"), label="Open its run", icon=":material/terminal:",
                query_params={"run": miss.run_id, "database": miss.slot.database},
            )  # fmt: skip
        if miss.backup_id is not None:
            st.page_link(
                page("inventory"), label="Open its backup", icon=":material/inventory_2:",
                query_params={"backup": miss.backup_id},
            )  # fmt: skip
        if miss.run_id is None and miss.backup_id is None:
            st.markdown("There was neither a run nor a backup.")


show()
