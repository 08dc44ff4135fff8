"""The store as a timeline: which backups are kept now, in 30 and in 365 days, by tier."""

from __future__ import annotations

from datetime import timedelta

import altair as alt
import pandas as pd

from dashboard.theme import Palette
from services.retention.forecast import StoreAt
from services.retention.policy import TIERS
from services.units import format_bytes

STORE_COLUMNS = ("lane", "days", "finished", "whose", "words")
LANES = (*TIERS, "other")
TODAYS, COMING = "there today", "yet to come"
_TICKS = {0: "0", 1: "1 d", 7: "1 w", 30: "1 mo", 90: "3 mo", 365: "1 y", 1095: "3 y", 1825: "5 y"}
"""Ages in days that have a line, and the words under them."""


def store_frame(store: StoreAt) -> pd.DataFrame:
    """Given a store, return a row for each lane that a kept backup lies in.

    Columns: ``lane`` (daily, weekly, monthly, yearly, other), ``days`` (its age then), ``finished`` (timestamp, UTC),
    ``whose`` (there today, or yet to come), ``words`` (the tooltip).
    """
    rows = [
        {
            "lane": lane,
            "days": max(0.0, (store.at - backup.finished_at) / timedelta(days=1)),
            "finished": pd.Timestamp(backup.finished_at).tz_convert("UTC").tz_localize(None),
            "whose": TODAYS if backup.is_there else COMING,
            "words": f"{', '.join(backup.tiers) or 'kept for another reason'} · {format_bytes(backup.bytes)}",
        }
        for backup in store.kept
        for lane in (backup.tiers or ("other",))
    ]
    return pd.DataFrame(rows, columns=list(STORE_COLUMNS))


def store_chart(frame: pd.DataFrame, oldest_days: float, colours: Palette) -> alt.Chart:
    """Given ``store_frame``'s rows, draw a lane a tier and a mark for each kept backup.

    Ages grow to the left up to ``oldest_days``, on a square root scale, so that days and years are both told apart.
    Backups that are there today are filled discs, those yet to come hollow diamonds: the two differ in shape as well as
    in colour. The marks are hidden from screen readers: the page says the store in words (``store_words``).
    """
    longest = max(30.0, oldest_days) * 1.03
    ticks = [tick for tick in _TICKS if tick <= longest]
    words = " : ".join(f"datum.value === {tick} ? '{_TICKS[tick]}'" for tick in ticks)
    whose = {"domain": [TODAYS, COMING]}
    return (
        alt.Chart(frame)
        .mark_point(aria=False, size=64, opacity=1, strokeWidth=1.6)
        .encode(
            x=alt.X(
                "days:Q",
                scale=alt.Scale(type="sqrt", domain=[longest, 0], nice=False),
                axis=alt.Axis(
                    values=ticks,
                    labelExpr=f"{words} : ''",
                    title=None,
                    ticks=False,
                    gridColor=colours.faint,
                    domain=False,
                    labelColor=colours.idle,
                    labelFontSize=12,
                ),
            ),
            y=alt.Y(
                "lane:N",
                sort=list(LANES),
                scale=alt.Scale(domain=list(LANES)),
                axis=alt.Axis(
                    title=None, ticks=False, domain=False, labelColor=colours.text, labelFontSize=12, labelPadding=8
                ),
            ),
            shape=alt.Shape("whose:N", legend=None, scale=alt.Scale(**whose, range=["circle", "diamond"])),
            stroke=alt.Stroke("whose:N", legend=None, scale=alt.Scale(**whose, range=[colours.running, colours.ok])),
            fill=alt.Fill("whose:N", legend=None, scale=alt.Scale(**whose, range=[colours.running, "transparent"])),
            tooltip=[
                alt.Tooltip("finished:T", title="Finished (UTC)", format="%a %d %b %Y %H:%M"),
                alt.Tooltip("words:N", title="Kept by"),
                alt.Tooltip("whose:N", title="Backup"),
            ],
        )
        .properties(height=20 * len(LANES) + 30, padding={"left": 0, "right": 6, "top": 4, "bottom": 6})
        .configure_view(strokeWidth=0)
    )


def horizon_title(store: StoreAt, horizon: timedelta) -> str:
    """Return what a store holds, in one line: ``In 30 days · 26 backups · 1.2 GB``."""
    when = f"In {horizon.days} days" if horizon else "Now, cleaned up"
    return f"{when} · {store.backups} backup{'' if store.backups == 1 else 's'} · {format_bytes(store.bytes)}"


def store_words(store: StoreAt) -> str:
    """Say a store's chart in words, for those who do not see it."""
    tiers = ", ".join(f"{store.count(tier)} {tier}" for tier in TIERS)
    return f"{tiers}; {store.of_today} of {store.backups} are there today"
