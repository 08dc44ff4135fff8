"""The planner against a second implementation, by properties, and on the edges of its rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retention.planner import Candidate, Decision, plan
from services.retention.policy import RetentionPolicy
from tests.retention import second_planner
from tests.retention.strategies import NOW, inventories, policies

DAY = timedelta(days=1)
RUNBOOK = RetentionPolicy()


def kept(decisions: Iterable[Decision]) -> set[str]:
    return {decision.id for decision in decisions if decision.keep}


def gone(decisions: Iterable[Decision]) -> set[str]:
    return {decision.id for decision in decisions if not decision.keep}


def reasons(backups: list[Candidate], now: datetime = NOW, policy: RetentionPolicy = RUNBOOK) -> dict[str, set[str]]:
    return {decision.id: set(decision.reasons) for decision in plan(backups, policy, now)}


def daily(count: int, *, end: datetime = NOW, **more: object) -> list[Candidate]:
    """One good backup a day, the newest ``d0`` at ``end``."""
    return [Candidate(f"d{n}", end - n * DAY, **more) for n in range(count)]  # type: ignore[arg-type]


@settings(max_examples=400)
@given(inventories(), policies())
def test_it_says_the_same_as_a_second_implementation(backups: list[Candidate], policy: RetentionPolicy) -> None:
    expected = second_planner.reasons_by_id(backups, policy, NOW)
    decisions = plan(backups, policy, NOW)
    assert [decision.id for decision in decisions] == [backup.id for backup in backups], "in input order"
    for decision in decisions:
        assert set(decision.reasons) == expected[decision.id]
        assert decision.keep == bool(expected[decision.id])
        assert decision.tiers == tuple(r for r in decision.reasons if r in second_planner.FORMATS)
        assert bool(decision.going) is not decision.keep


@settings(max_examples=200)
@given(inventories(), policies())
def test_it_never_takes_the_newest_good_one_the_newest_proven_one_or_goes_below_the_minimum(
    backups: list[Candidate], policy: RetentionPolicy
) -> None:
    survivors = kept(plan(backups, policy, NOW))
    good = sorted((b for b in backups if b.is_good), key=second_planner.order)
    proven = [b for b in good if b.proven_at is not None]
    believed = [b for b in good if second_planner.order(b)[0] <= NOW]
    for untouchable in (good[-policy.minimum :], proven[-1:], believed[-1:]):
        assert {b.id for b in untouchable} <= survivors


@settings(max_examples=200)
@given(inventories(), policies(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(
    backups: list[Candidate], policy: RetentionPolicy, random: Random
) -> None:
    shuffled = backups.copy()
    random.shuffle(shuffled)
    before = {decision.id: decision for decision in plan(backups, policy, NOW)}
    assert {decision.id: decision for decision in plan(shuffled, policy, NOW)} == before


@settings(max_examples=200)
@given(inventories(), policies())
def test_planning_again_over_what_is_kept_deletes_nothing(backups: list[Candidate], policy: RetentionPolicy) -> None:
    survivors = kept(plan(backups, policy, NOW))
    remaining = [backup for backup in backups if backup.id in survivors]
    assert gone(plan(remaining, policy, NOW)) == set()


@settings(max_examples=200)
@given(inventories(), policies(), st.integers(0, 400 * 24))
def test_a_clock_that_is_set_back_deletes_nothing_that_the_right_clock_keeps(
    backups: list[Candidate], policy: RetentionPolicy, hours: int
) -> None:
    """What goes at an earlier now goes at every later one: to be early is never to delete more."""
    assert gone(plan(backups, policy, NOW - timedelta(hours=hours))) <= gone(plan(backups, policy, NOW))


_BY_AGE = {"recent on-demand", "recent failure", "recent partial", "future"}


@settings(max_examples=200)
@given(inventories(), policies(), st.integers(0, 3 * 366 * 24))
def test_a_clock_that_jumps_forward_takes_only_what_its_age_alone_keeps(
    backups: list[Candidate], policy: RetentionPolicy, hours: int
) -> None:
    """Tiers, minimum, proof and pins do not look at the clock, so a jump of a year takes no scheduled good backup."""
    later = gone(plan(backups, policy, NOW + timedelta(hours=hours)))
    dated_ahead = any(b.is_good and second_planner.order(b)[0] > NOW for b in backups)
    for decision in plan(backups, policy, NOW):
        if decision.keep and decision.id in later:
            only_by_age = set(decision.reasons) <= _BY_AGE
            assert only_by_age or (dated_ahead and set(decision.reasons) <= {*_BY_AGE, "minimum"})


@settings(max_examples=100)
@given(inventories(), inventories(), policies())
def test_databases_are_planned_apart(one: list[Candidate], other: list[Candidate], policy: RetentionPolicy) -> None:
    first = [replace(backup, database="first") for backup in one]
    second = [replace(backup, database="second") for backup in other]
    mixed = [b for pair in zip(first, second, strict=False) for b in pair]
    mixed += first[len(second) :] + second[len(first) :]
    together = plan(mixed, policy, NOW)
    alone = plan(first, policy, NOW), plan(second, policy, NOW)
    assert [d for d, b in zip(together, mixed, strict=True) if b.database == "first"] == alone[0]
    assert [d for d, b in zip(together, mixed, strict=True) if b.database == "second"] == alone[1]


@pytest.mark.parametrize("seed", range(5))
def test_six_years_of_daily_runs_with_random_failures_end_with_the_runbooks_schedule(seed: int) -> None:
    """Cleaned up every night; a sixth of the runs fail, and now and then a week fails as a whole."""
    random = Random(seed)
    store: list[Candidate] = []
    day, end = datetime(2020, 11, 10, 2, 10, tzinfo=UTC), NOW
    while day < end:
        broken = random.random() < 1 / 6 or day.isocalendar().week % 23 == seed
        proven = day if not broken and day.day == 3 else None
        state = "failed" if broken and random.random() < 0.5 else "finished"
        store.append(Candidate(f"{day:%Y%m%d}", day, state, "scheduled", False, proven, None if not broken else False))  # type: ignore[arg-type]
        survivors = kept(plan(store, RUNBOOK, day + timedelta(hours=1)))
        store = [backup for backup in store if backup.id in survivors]
        day += DAY
    decisions = plan(store, RUNBOOK, end)
    assert gone(decisions) <= {b.id for b in store if not b.is_good}
    counts = {tier: sum(tier in d.tiers for d in decisions) for tier in ("daily", "weekly", "monthly", "yearly")}
    assert counts == {"daily": 7, "weekly": 4, "monthly": 12, "yearly": 5}
    good = [b for b in store if b.is_good]
    assert len(good) <= 7 + 4 + 12 + 5 + 1, "and nothing beside it but the newest proven one"
    years = {d.id[:4] for d in decisions if "yearly" in d.tiers}
    assert years == {"2022", "2023", "2024", "2025", "2026"}


def test_a_quiet_month_deletes_nothing() -> None:
    backups = daily(400)
    survivors = kept(plan(backups, RUNBOOK, NOW))
    for later in (31, 365, 3650):
        remaining = [backup for backup in backups if backup.id in survivors]
        assert kept(plan(remaining, RUNBOOK, NOW + later * DAY)) == survivors


def test_only_failures_for_months_delete_nothing_that_is_good() -> None:
    good = daily(30, end=NOW - 200 * DAY)
    broken = [Candidate(f"f{n}", NOW - n * DAY, "failed") for n in range(200)]
    assert kept(plan(good, RUNBOOK, NOW)) <= kept(plan(good + broken, RUNBOOK, NOW))
    assert kept(plan(broken, RUNBOOK, NOW)) == {b.id for b in broken}, "nor a failure, when no newer one is good"


def test_two_in_one_instant_are_told_apart_by_their_ids() -> None:
    twins = [Candidate("a", NOW), Candidate("b", NOW)]
    policy = RetentionPolicy(1, 0, 0, 0, minimum=1)
    assert reasons(twins, policy=policy) == {"a": set(), "b": {"daily", "minimum"}}


@pytest.mark.parametrize(
    ("one", "other", "tier", "same"),
    [
        ("2026-11-21T23:59:59.999999+00:00", "2026-11-22T00:00:00+00:00", "daily", False),
        ("2026-11-22T01:00:00+02:00", "2026-11-22T00:00:00+00:00", "daily", False),  # 23:00 of the day before in UTC
        ("2026-11-15T23:59:59+00:00", "2026-11-16T00:00:00+00:00", "weekly", False),  # Sunday and Monday
        ("2024-12-30T00:00:00+00:00", "2025-01-05T23:59:59+00:00", "weekly", True),  # week 1 of 2025
        ("2026-12-31T12:00:00+00:00", "2027-01-01T12:00:00+00:00", "weekly", True),  # week 53 of 2026
        ("2024-02-29T12:00:00+00:00", "2024-03-01T00:00:00+00:00", "monthly", False),
        ("2026-12-31T23:59:59+00:00", "2027-01-01T00:00:00+00:00", "yearly", False),
    ],
)
def test_periods_are_those_of_the_utc_calendar(one: str, other: str, tier: str, same: bool) -> None:
    backups = [Candidate("one", datetime.fromisoformat(one)), Candidate("other", datetime.fromisoformat(other))]
    policy = RetentionPolicy(**{"daily": 0, "weekly": 0, "monthly": 0, "yearly": 0, "minimum": 1} | {tier: 2})
    decisions = plan(backups, policy, datetime(2027, 2, 1, tzinfo=UTC))
    assert decisions[1].tiers == (tier,)
    assert decisions[0].tiers == (() if same else (tier,))


@pytest.mark.parametrize(
    ("age", "change", "reason"),
    [
        (30 * DAY - timedelta(microseconds=1), {"type": "on-demand"}, "recent on-demand"),
        (30 * DAY, {"type": "on-demand"}, None),
        (29 * DAY, {"type": "emergency"}, "recent on-demand"),
        (29 * DAY, {"type": "scheduled"}, None),
        (7 * DAY, {"verification_passed": False}, "recent failure"),
        (7 * DAY + timedelta(microseconds=1), {"verification_passed": False}, None),
        (7 * DAY, {"state": "lost"}, "recent failure"),
        (8 * DAY, {"state": "cancelled"}, None),
        (8 * DAY, {"stored": False}, None),
        (8 * DAY, {"state": "failed", "pinned": True}, "pinned"),
        (8 * DAY, {"state": "failed", "type": "emergency"}, "recent on-demand"),
        (29 * DAY, {"partial": True}, "recent partial"),
        (30 * DAY, {"partial": True}, None),
        (300 * DAY, {"adopted": True}, "adopted"),
        (300 * DAY, {"adopted": True, "verification_passed": False}, None),
        (300 * DAY, {"untrusted": True, "verification_passed": False}, "untrusted"),
        (300 * DAY, {"type": "base"}, "base"),
        (300 * DAY, {"state": "running"}, "active"),
        (300 * DAY, {"active": True}, "active"),
        (timedelta(microseconds=-1), {"state": "failed"}, "future"),
        (300 * DAY, {"state": "deleting", "pinned": True}, None),
        (DAY, {"state": "expired", "pinned": True}, None),
    ],
)
def test_ages_and_kinds_on_their_edges(age: timedelta, change: dict[str, object], reason: str | None) -> None:
    """Beside one good backup of this hour and a policy of one day, nothing but the case itself keeps it."""
    policy = RetentionPolicy(1, 0, 0, 0, minimum=1)
    backup = replace(Candidate("x", NOW - age), **change)  # type: ignore[arg-type]
    found = reasons([Candidate("newer", NOW + timedelta(microseconds=2)), backup], policy=policy)["x"]
    found -= {"minimum", "recent failure"} if reason == "future" else {"minimum"}
    assert found == (set() if reason is None else {reason})


def test_an_ended_backup_without_a_time_is_no_candidate() -> None:
    with pytest.raises(ValueError, match="nobody knows since when"):
        Candidate("x", None)
    assert plan([Candidate("x", None, "queued")], RUNBOOK, NOW)[0].keep


def test_backups_dated_after_now_are_kept_and_do_not_push_out_the_newest_real_one() -> None:
    ahead = [Candidate(f"f{n}", NOW + n * 40 * DAY) for n in range(1, 60)]
    found = reasons([*ahead, *daily(3)])
    assert all("future" in found[b.id] for b in ahead)
    assert found["d0"] == {"minimum"}
    assert found["d1"] == set()
