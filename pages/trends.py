"""Trends: how durations, sizes, success and storage change, and where they lead."""

import streamlit as st

from dashboard.components.trend_filters import trend_filters
from dashboard.components.trend_panels import panel_grid
from dashboard.components.trend_words import findings, outlier_list, which
from dashboard.guard import reported
from dashboard.session import installation, trends_page


def show() -> None:
    inst = installation()
    st.markdown("# Trends", anchors=False)
    names = [database.name for database in inst.settings.databases]
    if not names:
        st.info("Name a database in the settings first.", icon=":material/database:")
        return
    with reported():
        query = trend_filters(names, inst.clock())
        drawn = trends_page(query)
        seen = drawn.trends
        if not seen.begun:
            st.info(
                "Trends begin with the first backup. Take it under “Run backup”; after two weeks sizes are forecast.",
                icon=":material/monitoring:",
                title="Nothing was backed up yet",
            )
            return
        theme = st.context.theme.type
        findings(seen)
        which(seen)
        panel_grid([*drawn.panels, drawn.calendar], inst.catalog.backups, theme=theme)
        outlier_list(seen)


show()
