"""Samples of the log, put together by spans, on both engines."""

from __future__ import annotations

from datetime import timedelta

from services.catalog.catalog import Catalog
from services.catalog.wal_samples import WalSample, add_sample, sampled_spans
from tests.catalog.rows import NOW

MINUTE = timedelta(minutes=1)


def test_a_span_says_the_worst_of_its_samples_and_none_where_nobody_could_tell(catalog: Catalog) -> None:
    since = NOW - 30 * MINUTE
    late = since + timedelta(minutes=6, seconds=30)
    for sample in (
        WalSample("orders", since + 2 * MINUTE, 5000, 4000, since, 1000),  # so little is not late
        WalSample("orders", since + 3 * MINUTE, 90_000, 4000, since, 86_000, 70, missing=2),
        WalSample("orders", late, error="the server is away"),
        WalSample("orders", since + 12 * MINUTE, 95_000, 95_000, since + 11 * MINUTE, 0, missing=0),
        WalSample("other", since + 2 * MINUTE, 7, 7, since, 0),
        WalSample("orders", since - MINUTE, 9, 9, since, 0),
    ):
        add_sample(catalog.engine, sample)
    first, second, third = sampled_spans(catalog.engine, "orders", since=since, until=NOW, span=5 * MINUTE)
    assert (first.at, first.current_lsn, first.lag_bytes, first.slot_lag_bytes) == (
        since + 3 * MINUTE, 90_000, 86_000, 70,
    )  # fmt: skip
    assert (first.delay, first.missing, first.samples, first.failed) == (3 * MINUTE, 2, 2, 0)
    assert (second.at, second.current_lsn, second.delay, second.missing) == (late, None, None, None)
    assert second.failed == 1
    assert (third.delay, third.missing, third.samples) == (timedelta(0), 0, 1)
