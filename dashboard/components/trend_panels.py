"""Charts of the Trends page on their cards, with their words, their files, and the way to a backup."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.charts.calendar import calendar_chart
from dashboard.charts.export import chart_png, chart_svg
from dashboard.charts.panel import Panel
from dashboard.components.chart import draw_chart, draw_picking_chart
from dashboard.format import escape
from dashboard.frames import csv_file
from dashboard.navigation import page
from dashboard.theme import palette
from dashboard.visitor import exported
from services.catalog.backups import BackupStore
from services.errors import UnknownName

CALENDAR_LEGEND = ":green[■] good · :yellow[▲] partial · :red[✖] failed · :gray[–] none · ◆ restore test passed"


def panel_grid(panels: Sequence[Panel], backups: BackupStore, *, theme: str | None) -> None:
    """Draw panels two in a row, wide ones and one that is left over below them; on a phone all one below the other."""
    narrow = [panel for panel in panels if not panel.wide]
    paired = narrow[: len(narrow) // 2 * 2]
    for start in range(0, len(paired), 2):
        for column, panel in zip(st.columns(2, gap="medium"), paired[start : start + 2], strict=True):
            with column:
                draw_panel(panel, backups, theme=theme)
    for panel in (*narrow[len(paired) :], *(panel for panel in panels if panel.wide)):
        draw_panel(panel, backups, theme=theme)


def draw_panel(panel: Panel, backups: BackupStore, *, theme: str | None) -> None:
    """Draw one chart on its card. A picked point shows what it stands for, and the way to its backup."""
    with st.container(border=True, height="stretch"):
        st.markdown(f"### {panel.title}", anchors=False)
        if panel.make is calendar_chart:
            st.markdown(f":small[{CALENDAR_LEGEND}]")
        words = f"{panel.title}: {panel.words}"
        options = (palette(theme), *panel.options)
        if panel.empty:
            st.info("  \n".join(escape(line) for line in panel.caption.splitlines()), icon=":material/show_chart:")
            return
        if panel.leads:
            picked = draw_picking_chart(panel.make, panel.rows, *options, alt=words, key=f"chart-{panel.key}")
            if picked is not None:
                _way_to(picked, panel, backups)
        else:
            draw_chart(panel.make, panel.rows, *options, alt=words, key=f"chart-{panel.key}")
        # Below the chart: above it lie the tools that Streamlit shows for those who point at a chart.
        with st.container(horizontal=True, vertical_alignment="center"):
            with st.container(width="stretch"):
                st.caption("  \n".join(escape(line) for line in panel.caption.splitlines()))
            _files(panel)


def _files(panel: Panel) -> None:
    make, rows, options, title = panel.make, panel.rows, panel.options, panel.title
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        # Each file is made when it is asked for, not when the page is drawn.
        st.download_button(
            "Numbers (CSV)", exported(f"{panel.key}.csv", lambda: csv_file(panel.table)),
            f"{panel.key}.csv", "text/csv",
            key=f"csv-{panel.key}", on_click="ignore", type="tertiary", icon=":material/table:",
        )  # fmt: skip
        st.download_button(
            "Picture (PNG)", exported(f"{panel.key}.png", lambda: chart_png(make, rows, *options, title=title)),
            f"{panel.key}.png", "image/png",
            key=f"png-{panel.key}", on_click="ignore", type="tertiary", icon=":material/image:",
        )  # fmt: skip
        st.download_button(
            "Drawing (SVG)", exported(f"{panel.key}.svg", lambda: chart_svg(make, rows, *options, title=title)),
            f"{panel.key}.svg",
            "image/svg+xml", key=f"svg-{panel.key}", on_click="ignore", type="tertiary", icon=":material/draw:",
        )  # fmt: skip


def _way_to(backup_id: str, panel: Panel, backups: BackupStore) -> None:
    its = panel.rows[panel.rows["backup_id"] == backup_id]
    try:
        backup = backups.get(backup_id)
    except UnknownName:
        return  # forgotten since
    if its.empty:
        return  # picked in a range that is not shown any more
    said = its.iloc[-1]  # why it is unusual comes after what it is
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{escape(said['when'])}** · {escape(said['words'])}")
        st.page_link(
            page("inventory"), label="Open in the inventory", icon=":material/inventory_2:",
            query_params={"backup": backup.id},
        )  # fmt: skip
