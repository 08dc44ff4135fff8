"""Success over time: the share of runs that finished, and of days with a good backup."""

from __future__ import annotations

import altair as alt
import pandas as pd

from dashboard.charts.line import OVER_TIME, series_colours, styled
from dashboard.charts.rows import edges, when
from dashboard.charts.spec import Rows
from dashboard.format import percent
from dashboard.theme import Palette
from services.trends.findings import TARGET
from services.trends.query import TrendsQuery

SUCCESS_ROW_COLUMNS = ("kind", "at", "share", "when", "words")
RUNS, DAYS = "runs that finished", "days with a good backup"
LOWEST = 95.0
"""Percent: where the axis begins, unless there is less."""
_TO_100 = "datum.value > 100 ? '' : datum.label"
_ABOVE = 0.12
"""How much room there is for words above 100 %, of the height below it."""


def success_rows(success: pd.DataFrame, query: TrendsQuery) -> pd.DataFrame:
    """Given ``services.trends.success``, return the chart's rows.

    Columns: ``kind`` (RUNS, DAYS, or ``edge``: nothing is drawn, the axes reach at least to there), ``at`` (UTC),
    ``share`` (percent), ``when`` and ``words`` (the tooltip).
    """
    rows = []
    for row in success.itertuples():
        at = when(row.at, query.bucket)
        if row.runs:
            said = f"{row.runs_finished:,} of {row.runs:,} runs finished ({percent(row.runs_finished, row.runs)})"
            rows.append((RUNS, row.at, 100 * row.runs_finished / row.runs, at, said))
        if row.days:
            said = f"{row.days_good:,} of {row.days:,} days have a good backup ({percent(row.days_good, row.days)})"
            rows.append((DAYS, row.at, 100 * row.days_good / row.days, at, said))
    lowest = min([LOWEST, *(share for _, _, share, *_ in rows)])
    first, last = edges(query)
    rows += [("edge", first, lowest, "", ""), ("edge", last, 100 + _ABOVE * (100 - lowest), "", "")]
    return pd.DataFrame(rows, columns=list(SUCCESS_ROW_COLUMNS))


def success_chart(rows: Rows, colours: Palette) -> alt.LayerChart:
    """Draw SUCCESS_ROW_COLUMNS: circles for runs, squares for days, and the promise as a rule.

    Only what is short of 100 % has a mark of its own.
    """
    kinds = [RUNS, DAYS]
    blue, purple = series_colours(colours)[:2]
    x = alt.X("at:T", title=None, scale=alt.Scale(type="utc"), axis=OVER_TIME)
    scale = alt.Scale(zero=False, nice=False)
    y = alt.Y("share:Q", title="Success (%)", axis=alt.Axis(tickCount=5, labelExpr=_TO_100), scale=scale)
    legend = alt.Legend(title=None, orient="top", labelFontSize=11, labelColor=colours.text, symbolSize=60, offset=2)
    colour = alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=[blue, purple]), legend=legend)
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=["circle", "square"]), legend=legend)
    shown = alt.Chart(rows).transform_filter(alt.FieldOneOfPredicate("kind", kinds))
    edge = alt.Chart(rows).transform_filter("datum.kind === 'edge'")
    promise = alt.Chart(rows).transform_filter("datum.kind === 'edge'").transform_calculate(promise=str(100 * TARGET))
    promised = alt.Y("promise:Q", scale=scale)
    layers = [
        edge.mark_rule(opacity=0, aria=False).encode(x=x, y=y),
        promise.mark_rule(strokeDash=[2, 3], strokeWidth=1.5, color=colours.failure, aria=False).encode(y=promised),
        promise.mark_text(
            align="left", baseline="top", dx=4, fontSize=11, color=colours.failure, aria=False,
            text=f"promised {100 * TARGET:.1f} %",
        ).encode(x=alt.value(0), y=alt.value(0)),
        shown.mark_line(strokeWidth=1.4, opacity=0.6, aria=False).encode(x=x, y=y, color=colour),
        shown.transform_filter("datum.share < 100").mark_point(filled=True, opacity=1, size=32, aria=False).encode(
            x=x, y=y, color=colour, shape=shape,
            tooltip=[alt.Tooltip("when:N", title="When"), alt.Tooltip("words:N", title=" ")],
        ),
    ]  # fmt: skip
    return styled(alt.layer(*layers).properties(height=240), colours)
