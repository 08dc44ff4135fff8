"""The store in 30 and 365 days: what the rhythm of today makes of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.retention.forecast import MOST_COMING, coming, forecast
from services.retention.planner import Candidate, plan
from services.retention.policy import TIERS, RetentionPolicy
from services.retention.rhythm import PastBackup, Rhythm, load_past, measure
from tests.retention.conftest import on_both_engines
from tests.retention.lab import CONTENT, DAY, NOW, Lab

POLICY = RetentionPolicy()


def nightly(count: int, *, size: int = 1000, growth: int = 0, missing: tuple[int, ...] = ()) -> list[PastBackup]:
    nights = [n for n in range(count, 0, -1) if n not in missing]
    return [PastBackup("x", NOW - n * DAY, False, size - n * growth) for n in nights]


def test_a_nightly_rhythm_with_gaps_and_a_steady_growth_is_measured_as_that() -> None:
    rhythm = measure(nightly(60, size=10_000, growth=100, missing=(3, 17, 18)), NOW)
    assert rhythm.every == DAY
    assert rhythm.last_at == NOW - DAY
    assert rhythm.bytes_per_day == pytest.approx(100)
    assert rhythm.bytes == 9_500, "the median of the last seven"
    assert rhythm.on_demand_every is None
    assert rhythm.bytes_at(NOW, NOW + 10 * DAY) == 10_500


def test_one_odd_size_moves_neither_size_nor_growth() -> None:
    odd = nightly(60, size=10_000, growth=100)
    odd[-1] = PastBackup("x", odd[-1].finished_at, False, 10**9)
    rhythm = measure(odd, NOW)
    assert rhythm.bytes == 9_600
    assert rhythm.bytes_per_day == pytest.approx(100)


def test_what_shrinks_or_was_hardly_measured_is_taken_to_stay() -> None:
    assert measure(nightly(60, growth=-10), NOW).bytes_per_day == 0
    assert measure(nightly(3, growth=10), NOW).bytes_per_day == 0
    assert measure([], NOW) == Rhythm(None, None, None, 0, 0.0)
    assert measure(nightly(1), NOW).every is None


def test_on_demand_backups_have_a_rate_beside_the_rhythm_and_are_the_rhythm_where_nothing_is_scheduled() -> None:
    extra = [PastBackup("x", NOW - n * DAY, True, 500) for n in (50, 30, 10)]
    both = measure(sorted(nightly(60) + extra, key=lambda b: b.finished_at), NOW)
    assert (both.every, both.on_demand_every, both.bytes) == (DAY, 20 * DAY, 1000)
    alone = measure(extra, NOW)
    assert (alone.every, alone.on_demand_every) == (20 * DAY, None)


def test_the_forecast_is_what_cleaning_up_every_night_leads_to() -> None:
    rhythm = Rhythm(DAY, NOW, None, 1000, 10.0)
    store = [Candidate(f"d{n}", NOW - n * DAY, bytes=900) for n in range(20)]
    store.append(Candidate("deploy", NOW - 3 * DAY - timedelta(hours=1), type="on-demand", bytes=900))
    kept = store
    for night in range(366):
        at = NOW + night * DAY
        if night:
            kept.append(Candidate(f"n{night}", at, bytes=1000 + 10 * night))
        keep = {decision.id for decision in plan(kept, POLICY, at) if decision.keep}
        kept = [backup for backup in kept if backup.id in keep]
        if night in (0, 30, 365):
            found = forecast(store, POLICY, rhythm, NOW, night * DAY)
            assert [each.finished_at for each in found.kept] == sorted(
                (backup.finished_at for backup in kept if backup.finished_at), reverse=True
            )
            assert found.bytes == sum(backup.bytes for backup in kept)
            assert found.of_today == sum(backup.id[0] == "d" for backup in kept)
    assert {tier: found.count(tier) for tier in TIERS} == {"daily": 7, "weekly": 4, "monthly": 12, "yearly": 2}


def test_a_larger_policy_holds_more_later_and_the_same_today() -> None:
    rhythm = Rhythm(DAY, NOW - DAY, None, 1000, 0.0)
    store = [Candidate(f"d{n}", NOW - n * DAY, bytes=1000) for n in range(1, 8)]
    small, large = (
        [forecast(store, policy, rhythm, NOW, days * DAY).backups for days in (0, 30, 365)]
        for policy in (POLICY, RetentionPolicy(30, 8, 24, 5))
    )
    assert small[0] == large[0] == 7
    assert small[1] < large[1] < large[2]


def test_a_database_that_nobody_backs_up_any_more_keeps_what_it_has() -> None:
    store = [Candidate(f"d{n}", NOW - n * DAY, bytes=1) for n in range(7)]
    later = forecast(store, POLICY, Rhythm(None, None, None, 0, 0.0), NOW, 365 * DAY)
    assert (later.backups, later.of_today) == (7, 7)
    assert forecast([], POLICY, Rhythm(None, None, None, 0, 0.0), NOW, 365 * DAY).backups == 0


def test_missed_nights_are_not_made_up_for_and_quick_rhythms_are_thinned_out() -> None:
    late = forecast([], RetentionPolicy(30), Rhythm(DAY, NOW - 10 * DAY - timedelta(hours=5), None, 1, 0), NOW, 3 * DAY)
    assert [backup.finished_at for backup in late.kept] == [NOW + timedelta(days=n, hours=-5) for n in (3, 2, 1)]
    quick = Rhythm(timedelta(minutes=15), NOW, None, 1, 0.0)
    store = forecast([], RetentionPolicy(0, 0, 0, 9, minimum=MOST_COMING * 2), quick, NOW, 365 * DAY)
    assert store.backups == MOST_COMING


@on_both_engines
def test_the_past_is_read_from_the_catalogue_with_what_has_expired(lab: Lab) -> None:
    lab.daily(30, storages=("primary", "second"))
    lab.store("partial", NOW - 2 * DAY, excluded=("logs",))
    lab.store("base", NOW - 2 * DAY, type="base")
    lab.store("deploy", NOW - 4 * DAY, type="on-demand")
    lab.store("long-ago", NOW - 91 * DAY)
    lab.store("ahead", NOW + DAY)
    lab.clean()
    past = load_past(lab.inst.catalog.engine, ["la_factoria"], NOW)
    assert len(past) == 31
    assert [backup.on_demand for backup in past].count(True) == 1
    assert {backup.bytes for backup in past} == {2 * len(CONTENT), len(CONTENT)}
    assert measure(past, NOW) == Rhythm(DAY, NOW, 29 * DAY, 2 * len(CONTENT), 0.0)


@pytest.mark.parametrize("minutes_apart", [1, 20, 24 * 60])
def test_too_little_history_is_no_rhythm_and_promises_nothing(minutes_apart: int) -> None:
    """Minutes of history would be a backup every quarter of an hour for a year."""
    past = [PastBackup("orders", NOW - n * timedelta(minutes=minutes_apart), False, 1000) for n in (3, 2, 1)]
    rhythm = measure(past, NOW)
    known = minutes_apart == 24 * 60
    assert (rhythm.every is not None, rhythm.bytes) == (known, 1000)
    store = [Candidate(f"b{n}", NOW - n * timedelta(minutes=minutes_apart), database="orders") for n in (3, 2, 1)]
    assert (len(coming(store, rhythm, NOW, NOW + 365 * DAY)) > 0) is known


def test_two_backups_a_week_ago_are_no_rhythm_either() -> None:
    past = [PastBackup("orders", NOW - days * DAY, False, 1000) for days in (9, 8)]
    assert measure(past, NOW).every is None
