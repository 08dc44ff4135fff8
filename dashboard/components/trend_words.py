"""What matters in the trends, in words, before and after the charts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.charts.measured import MOST_SERIES
from dashboard.fitted import fitted
from dashboard.format import escape, instant
from dashboard.theme import SEVERITY_MARKS
from services.trends.findings import sentence
from services.trends.trends import Trends

OUTLIER_COLUMNS = ("Ended (UTC)", "Database", "Backup", "What is unusual", "Open")
_SAID_FIRST = 2
_SHOWN = 50


def findings(trends: Trends) -> None:
    """Draw the sentence of what matters, and the rest in a line each."""
    worst = trends.findings[0]
    words = sentence(trends.findings, _SAID_FIRST)
    st.markdown(f"## {SEVERITY_MARKS[worst.severity].inline()} {escape(words)}", anchors=False)
    rest = trends.findings[_SAID_FIRST:]
    if rest:
        lines = [f"{SEVERITY_MARKS[each.severity].inline()} {escape(sentence([each]))}" for each in rest]
        st.markdown("  \n".join(lines))
    query = trends.query
    st.caption(
        f"{query.first:%d %b %Y} to {query.last:%d %b %Y} (UTC), "
        + ("each backup by itself" if trends.single else f"put together by {query.bucket}")
        + f" · as of {instant(trends.now)}"
    )


def which(trends: Trends) -> None:
    """Say which databases are drawn where there are more than a chart can hold."""
    drawn = trends.largest(MOST_SERIES)
    chosen = len(trends.query.databases)
    if chosen > len(drawn) and len(drawn) == MOST_SERIES:
        st.caption(
            f"Of {chosen} databases the {MOST_SERIES} with the largest backups have lines of their own; success, "
            "storage and the calendar count all of them. Choose others above."
        )


def outlier_frame(trends: Trends) -> pd.DataFrame:
    """Return the newest outliers with OUTLIER_COLUMNS; ``Open`` is the address of the backup's drawer."""
    rows = [
        (o.at.replace(tzinfo=None), o.database, o.backup, o.reason, f"/inventory?backup={o.backup_id}")
        for o in trends.outliers[:_SHOWN]
    ]
    return pd.DataFrame(rows, columns=list(OUTLIER_COLUMNS))


def outlier_list(trends: Trends) -> None:
    """Draw the outliers as a table, each with its reason."""
    st.markdown("## Unusual backups", anchors=False)
    if not trends.outliers:
        st.markdown("None: no backup took over twice as long, or was over 30 % smaller, than those before it.")
        return
    frame = outlier_frame(trends)
    shown = f"The newest {len(frame)} of {len(trends.outliers)}" if len(trends.outliers) > len(frame) else len(frame)
    st.caption(f"{shown}, each compared with the median of the seven good backups before it.")
    st.dataframe(
        frame,
        hide_index=True,
        height="content" if len(frame) <= 10 else 420,
        alt=f"{len(frame)} unusual backups, each with its reason",
        column_config=fitted(
            frame,
            {
                "Ended (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss"),
                "Open": st.column_config.LinkColumn(display_text="in the inventory", width="small"),
            },
        ),
    )
