"""The base backups of a database's server, and the button for another one."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import streamlit as st

from dashboard.components.inventory_table import NAME_WIDTH, TIME_WIDTH
from dashboard.fitted import fitted
from dashboard.format import ago, counted, escape
from dashboard.frames import in_words
from dashboard.point_frames import base_frame
from services.pitr.reach import Reach
from services.status import age

Asked = Literal["full", "incremental"]


def base_list(reach: Reach, *, interval: timedelta, incremental: bool, may_take: bool) -> Asked | None:
    """Draw the base backups, and return which kind of another one is asked for. ``interval``: how often one is due.

    ``incremental``: the server can send what has changed since the newest one. ``may_take``: whether another one is
    offered.
    """
    bases = reach.bases
    if bases:
        newest = ago(bases[-1].stopped_at, reach.now)
        st.caption(f"{counted(len(bases), 'base backup')}, the newest {newest} · one is due every {age(interval)}")
        frame = base_frame(bases)
        st.dataframe(
            in_words(frame, sizes=["Size", "Stored"], durations=["Took"]),
            hide_index=True,
            key="bases",
            height=min(300, 38 + 35 * len(bases)),
            alt=f"{counted(len(bases), 'base backup')}, the newest first",
            column_config=fitted(
                frame,
                {
                    "Consistent at (UTC)": st.column_config.DatetimeColumn(
                        format="YYYY-MM-DD HH:mm:ss", width=TIME_WIDTH
                    ),
                    "Name": st.column_config.TextColumn(width=NAME_WIDTH),
                },
            ),
        )
    else:
        st.info(
            "A restore begins with one. The worker takes the first as soon as a segment of the log is archived.",
            icon=":material/database:",
            title="No base backup yet",
        )
    if reach.unsound:
        st.warning(
            f"{counted(reach.unsound, 'base backup')} more failed a check or cannot be read, and no restore begins "
            "there. The inventory says why.",
            icon=":material/gpp_bad:",
        )
    if not may_take:
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        full = st.button("Take a base backup now", icon=":material/backup:", key="base-go")
        if not (incremental and bases):
            return "full" if full else None
        further = st.button("Take an incremental one", icon=":material/difference:", key="base-incremental")
    st.caption(f"An incremental one holds what has changed since {escape(bases[-1].backup.name)}, and needs it.")
    return "full" if full else "incremental" if further else None
