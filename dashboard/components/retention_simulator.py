"""The simulator: other numbers, another horizon, and at once what stays, what goes, and what the store will hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pandas as pd
import streamlit as st

from dashboard.charts.store import COMING, TODAYS, horizon_title, store_chart, store_frame, store_words
from dashboard.components.badges import badge_column
from dashboard.fitted import fitted
from dashboard.format import day, escape, number, size
from dashboard.frames import in_words
from dashboard.retention_frames import fate_frame
from dashboard.theme import palette
from services.retention.forecast import StoreAt
from services.retention.plans import DatabasePlan, total_bytes
from services.retention.policy import MOST, RetentionPolicy
from services.retention.rhythm import LEAST_HISTORY, Rhythm
from services.status import age

HORIZONS = (timedelta(0), timedelta(days=30), timedelta(days=365))
_LOOK_AHEAD = {"a cleanup now": 0, "30 days": 30, "90 days": 90, "365 days": 365}
SHOWN = 500


def numbers(own: RetentionPolicy, database: str) -> RetentionPolicy:
    """Draw the numbers of a policy, bound to the URL; return it. Raise InputError for one of only zeros."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        counts = [
            int(
                st.number_input(
                    label, 0, MOST, own.count(tier), key=f"{tier}-{database}", bind="query-params", width=120
                )
            )
            for tier, label in (("daily", "Days"), ("weekly", "Weeks"), ("monthly", "Months"), ("yearly", "Years"))
        ]  # fmt: skip
        minimum = int(
            st.number_input(
                "At least", 1, MOST, own.minimum, key=f"minimum-{database}", bind="query-params", width=120,
                help="So many of the newest good backups are always kept.",
            )
        )  # fmt: skip
    return RetentionPolicy(*counts, minimum=minimum, partial_age=own.partial_age)


def horizon_choice(rhythm: Rhythm) -> timedelta:
    """Draw the choice of the horizon, bound to the URL; none ahead where too little is known of what is to come."""
    chosen = st.radio(
        "What stays after", list(_LOOK_AHEAD), horizontal=True, key="after", bind="query-params",
        disabled=rhythm.every is None,
    )  # fmt: skip
    if rhythm.every is None:
        return timedelta(0)
    return timedelta(days=_LOOK_AHEAD[chosen or "a cleanup now"])


def fate(simulated: DatabasePlan, today: DatabasePlan, horizon: timedelta) -> None:
    """Draw how many of today's backups the simulated policy keeps and lets go, against the present policy."""
    kept, going = simulated.kept, simulated.going
    more = len(kept) - len(today.kept)
    freed = total_bytes(going) - total_bytes(today.going)
    columns = [column.container(gap=None) for column in st.columns(3)]
    columns[0].metric(
        "Stays",
        f"{number(len(kept))} backups",
        delta=_more(more, "than today's policy"),
        delta_color="off",
        delta_arrow="off",
    )
    columns[0].caption(size(total_bytes(kept)))
    columns[1].metric(
        "Goes",
        f"{number(len(going))} backups",
        delta=_more(-more, "than today's policy"),
        delta_color="off",
        delta_arrow="off",
    )
    columns[1].caption(f"{size(total_bytes(going))} freed")
    columns[2].metric(
        "Against today's plan",
        f"{size(abs(freed))} {'more' if freed > 0 else 'less'} freed" if freed else "the same",
    )
    columns[2].caption(
        f"of today's {size(total_bytes(simulated.backups))}" + (f", in {horizon.days} days" if horizon else "")
    )


def fate_table(simulated: DatabasePlan, today: DatabasePlan) -> None:
    """Draw what becomes of each backup under the simulated policy, and whether the present one does the same."""
    if not simulated.backups:
        return
    st.markdown("## Each backup", anchors=False)
    shown = simulated.backups[:SHOWN]
    frame = fate_frame(shown, [backup.decision for backup in today.backups[:SHOWN]])
    st.dataframe(
        in_words(frame, sizes=["Size"]),
        hide_index=True,
        key="fate",
        height="content" if len(shown) <= 8 else 330,
        alt=f"What the simulated policy makes of the newest {len(shown)} backups",
        column_config=fitted(
            frame,
            {
                "Name": st.column_config.TextColumn(pinned=True),
                "Finished (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
                "Kept by": badge_column("Kept by"),
            },
        ),
    )
    if len(simulated.backups) > SHOWN:
        st.caption(f"The newest {SHOWN} of {number(len(simulated.backups))}.")


def outlook(
    stores: Sequence[tuple[timedelta, StoreAt]], today: Sequence[StoreAt], rhythm: Rhythm, *, theme: str | None
) -> None:
    """Draw the store now, in 30 and in 365 days, under the simulated policy; ``today``: under the present one."""
    st.markdown("## The store to come", anchors=False)
    st.markdown(escape(_rhythm_words(rhythm)))
    if rhythm.every is None:
        stores, today = stores[:1], today[:1]
    frame = pd.DataFrame(
        {
            "Store": ["Now, cleaned up", *(f"In {horizon.days} days" for horizon, _ in stores[1:])],
            "Simulated": [_held(store) for _, store in stores],
            "Today's policy": [_held(store) for store in today],
            "Difference": [_difference(store, own) for (_, store), own in zip(stores, today, strict=True)],
        }
    )
    st.table(frame, border="horizontal", hide_index=True, alt="The store now, and to come")
    colours = palette(theme)
    frames = [store_frame(store) for _, store in stores]
    oldest = max((float(each["days"].max()) for each in frames if len(each)), default=0.0)
    st.caption(
        f":blue[●] {TODAYS} · :green[◇] {COMING} · a lane for each tier, ages grow to the left. "
        "A backup that several tiers keep stands in each of their lanes."
    )
    for (horizon, store), each in zip(stores, frames, strict=True):
        title = horizon_title(store, horizon)
        st.markdown(f":small[**{title}**]")
        st.altair_chart(
            store_chart(each, oldest, colours), theme=None, key=f"store-{horizon.days}",
            alt=f"{title}: {store_words(store)}",
        )  # fmt: skip


def _held(store: StoreAt) -> str:
    return f"{number(store.backups)} backups · {size(store.bytes)}"


def _difference(store: StoreAt, own: StoreAt) -> str:
    if (store.backups, store.bytes) == (own.backups, own.bytes):
        return "the same"
    sign = "+" if store.bytes >= own.bytes else "−"
    return f"{store.backups - own.backups:+d} · {sign}{size(abs(store.bytes - own.bytes))}".replace("-", "−")


def _more(count: int, than: str) -> str:
    if not count:
        return f"as many as {than.removeprefix('than ')}"
    return f"{abs(count):,} {'more' if count > 0 else 'fewer'} {than}"


def _rhythm_words(rhythm: Rhythm) -> str:
    if rhythm.every is None:
        return (
            f"Too little history to look ahead: a rhythm is known from {LEAST_HISTORY.days} days of regular backups on."
        )
    growth = f"growing by {size(int(rhythm.bytes_per_day))} a day" if rhythm.bytes_per_day >= 1 else "not growing"
    extra = f", and an on-demand one every {age(rhythm.on_demand_every)}" if rhythm.on_demand_every else ""
    return (
        f"If backups go on as in the last 90 days: one every {age(rhythm.every)} of {size(rhythm.bytes)}, {growth}"
        f"{extra}; the last was on {day(rhythm.last_at)}."
    )
