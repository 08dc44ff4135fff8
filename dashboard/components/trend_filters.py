"""The filters of the Trends page, bound to the URL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import get_args

import streamlit as st

from services.catalog.model import BackupType
from services.trends.query import DEFAULT_SPAN, Span, TrendsQuery, choose_days

OWN = "own dates"


def trend_filters(databases: Sequence[str], now: datetime) -> TrendsQuery:
    """Draw the filters in one row; return what is asked for. Raise InputError for a range that cannot be."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            "Databases", databases, key="databases", bind="query-params", placeholder="all databases", width=320
        )
        kind = st.selectbox(
            "Type",
            get_args(BackupType),
            index=None,
            key="backup_type",
            bind="query-params",
            placeholder="all types",
            width=150,
        )
        spans = [*get_args(Span), OWN]
        # No segmented control: it stands lower than its neighbours, and its chosen word is hard to read in the dark.
        span = st.radio(
            "Range", spans, index=spans.index(DEFAULT_SPAN), horizontal=True, key="range", bind="query-params"
        )
    first, last = _own_dates(now) if span == OWN else (None, None)
    begin, end = choose_days(now, span=None if span == OWN else span, first=first, last=last)
    return TrendsQuery(begin, end, tuple(chosen or databases), kind, everything=not chosen)


def _own_dates(now: datetime) -> tuple[date | None, date | None]:
    today = now.astimezone(UTC).date()
    with st.container(horizontal=True):
        days = [
            st.date_input(label, None, max_value=today, key=key, bind="query-params", format="YYYY-MM-DD", width=150)
            for label, key in (("From", "from"), ("To", "to"))
        ]
    if days == [None, None]:
        st.caption(f"No dates are chosen yet: the last {DEFAULT_SPAN} are shown.")
    return days[0], days[1]
