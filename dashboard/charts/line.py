"""Values over time: a line for each series, what is unusual as a mark of its own, forecasts as bands, limits as rules.

Everything that differs from one day to the next is in the rows, also limits and names, so that one specification
serves for all of them.
"""

from __future__ import annotations

import altair as alt

from dashboard.charts.spec import UTC_LABELS, Rows
from dashboard.theme import DARK, Palette

LINE_COLUMNS = ("kind", "at", "series", "slot", "value", "low", "high", "backup_id", "label", "when", "words")
"""Of the rows of ``line_chart``.

``kind``: ``point`` (a value), ``outlier`` (the same once more, to be marked), ``forecast`` (``value`` between ``low``
and ``high``), ``limit`` (a rule at ``value``, called ``label``), ``name`` (where the name of a series stands) or
``edge`` (nothing is drawn: the axes reach at least to there). ``at``: UTC. ``slot``: colour and shape, one of SLOTS.
``high`` of a point: the 95th percentile, or its value again. ``backup_id``: where a click leads. ``when`` and
``words``: the tooltip.
"""
PICKED = "picked"
"""The selection: ``[{"backup_id": …}]``."""
SERIES = ("0", "1", "2", "3", "4", "5")
"""Slots of series."""
UNUSUAL = ("slower", "smaller")
"""Slots of outliers."""
SLOTS = SERIES + UNUSUAL
_SHAPES = ("circle", "square", "diamond", "cross", "triangle-left", "stroke", "triangle-up", "triangle-down")
_LIGHT = ("#0064A4", "#7A4E9F", "#00757F", "#A0366B", "#5B6B00", "#4F5D75")
_DARK = ("#6CB8F0", "#C4A1E8", "#4FC9CF", "#F08FB8", "#B9C75A", "#B4BFCE")
OVER_TIME = alt.Axis(tickCount=6, labelOverlap=True, labelExpr=UTC_LABELS)
FONT = "Source Sans, Liberation Sans, sans-serif"


def series_colours(colours: Palette) -> tuple[str, ...]:
    """Return a colour for each of SERIES. None of them is that of a state, and a shape goes with each."""
    return _DARK if colours == DARK else _LIGHT


def line_chart(rows: Rows, colours: Palette, title: str, *flags: str) -> alt.LayerChart:
    """Draw LINE_COLUMNS. ``title`` names the axis with its unit. A click on a point is selected under PICKED.

    Flags: ``named:N`` leaves N pixels for the names of series at the right; ``log`` has a logarithmic axis; ``dense``
    has small points; ``steps`` has a value last until the next one, and no points.
    """
    painted = alt.Scale(domain=list(SLOTS), range=[*series_colours(colours), colours.warning, colours.warning])
    shaped = alt.Scale(domain=list(SLOTS), range=list(_SHAPES))
    sized = alt.Scale(domain=["point", "outlier"], range=[12 if "dense" in flags else 30, 120])
    x = alt.X("at:T", title=None, scale=alt.Scale(type="utc"), axis=OVER_TIME)
    scale = alt.Scale(type="symlog", constant=0.01) if "log" in flags else alt.Scale(zero=True, nice=True)
    y = alt.Y("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=5, labelOverlap=True))
    colour = alt.Color("slot:N", scale=painted, legend=None)
    tooltip = [alt.Tooltip("when:N", title="When"), alt.Tooltip("words:N", title=" ")]

    def of(*kinds: str) -> alt.Chart:
        return alt.Chart(rows).transform_filter(alt.FieldOneOfPredicate("kind", list(kinds)))

    stepped = "steps" in flags
    picked = alt.selection_point(name=PICKED, fields=["backup_id"], on="click", empty=False)
    faint = 0.18 if colours == DARK else 0.13
    layers = [
        of("edge").mark_rule(opacity=0, aria=False).encode(x=x, y=y),
        of("forecast").mark_area(opacity=faint, aria=False).encode(
            x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", color=colour
        ),
        of("forecast").mark_line(strokeDash=[5, 4], strokeWidth=1.5, aria=False).encode(x=x, y=y, color=colour),
        of("limit").mark_rule(strokeDash=[2, 3], strokeWidth=1.5, color=colours.failure, aria=False).encode(y=y),
        of("limit").mark_text(
            align="left", baseline="bottom", dx=4, dy=-3, fontSize=11, color=colours.failure, aria=False
        ).encode(x=alt.value(0), y=y, text="label:N"),
        of("point").mark_rule(strokeWidth=1.5, opacity=0.35, aria=False).encode(
            x=x, y=y, y2="high:Q", color=colour
        ),
        of("point").mark_line(
            strokeWidth=1.6, interpolate="step-after" if stepped else "linear", aria=False
        ).encode(x=x, y=y, color=colour),
    ]  # fmt: skip
    points = of("point", "outlier").mark_point(filled=True, opacity=0 if stepped else 1, aria=False)
    points = points.encode(
        x=x, y=y, color=colour, tooltip=tooltip, shape=alt.Shape("slot:N", scale=shaped, legend=None)
    )
    if stepped:  # only for its tooltip
        layers.append(points)
    else:
        size = alt.condition(picked, alt.value(160), alt.Size("kind:N", scale=sized, legend=None))
        layers.append(points.encode(size=size).add_params(picked))
    names = of("name").mark_text(align="left", dx=8, fontSize=11, fontWeight="bold", aria=False)
    layers.append(names.encode(x=x, y=y, color=colour, text="label:N"))
    chart = alt.layer(*layers).properties(height=240)
    return styled(chart, colours)


def styled(chart: alt.LayerChart, colours: Palette, *, right: int = 12) -> alt.LayerChart:
    """Give a chart the look that all charts over time share."""
    return (
        chart.properties(padding={"left": 4, "right": right, "top": 10, "bottom": 4})
        .configure(font=FONT, background="transparent")
        .configure_view(strokeWidth=0)
        .configure_axis(
            labelColor=colours.idle, titleColor=colours.idle, titleFontWeight="normal", titleFontSize=12,
            labelFontSize=11, gridColor=colours.faint, gridOpacity=0.6, domain=False, ticks=False, labelPadding=6,
        )
        .configure_axisX(grid=False)
    )  # fmt: skip
