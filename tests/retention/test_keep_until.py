"""Keep-until against a simulation of the days to come, as it is defined: one good backup at each coming midnight."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.retention.planner import Candidate, Decision, plan
from services.retention.policy import RetentionPolicy
from tests.retention.strategies import NOW, TURNS, inventories, policies

DAY = timedelta(days=1)
MOMENT = timedelta(microseconds=1)
LAST = datetime(9999, 12, 31, tzinfo=UTC)
FOR_EVER = {"pinned", "proven", "active", "base", "adopted", "untrusted"}
"""What no coming backup ends; a newer proof is none that can be counted on."""


def is_kept(backup: str, backups: list[Candidate], policy: RetentionPolicy, now: datetime, at: datetime) -> bool:
    """Say whether a backup is still kept at an instant to come, by planning anew over all that has come by then."""
    midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
    coming = [Candidate(f"~{n}", midnight + n * DAY) for n in range(1, (at - midnight).days + 1)]
    return next(d.keep for d in plan([*backups, *coming], policy, at) if d.id == backup)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from(TURNS), policies(), st.integers(1, 500))
def test_nothing_goes_before_its_keep_until_and_everything_goes_after_it(
    data: st.DataObject, now: datetime, policy: RetentionPolicy, days: int
) -> None:
    backups = data.draw(inventories(most=10, now=now))
    for decision in plan(backups, policy, now):
        until = decision.expires_at

        def lasts(at: datetime, backup: str = decision.id) -> bool:
            return is_kept(backup, backups, policy, now, at)

        if not decision.keep:
            assert until == (None if decision.going in ("expired", "deletion begun") else now)
        elif until is None:
            assert set(decision.reasons) & FOR_EVER
            assert lasts(now + days * DAY)
        else:
            assert until > now or "recent failure" in decision.reasons
            assert lasts(min(now + (until - now) * (days / 501), until - MOMENT)), decision
            assert lasts(until - MOMENT), decision
            assert not lasts(until + MOMENT), decision
            assert not lasts(until + days * DAY), "and never comes back"


def decide(backups: list[Candidate]) -> dict[str, Decision]:
    return {decision.id: decision for decision in plan(backups, RetentionPolicy(), NOW)}


def test_the_daily_backups_of_a_runbook_are_kept_for_a_week() -> None:
    found = decide([Candidate(f"d{n}", NOW - n * DAY) for n in range(40)])
    # d1 is a Saturday in the middle of the month: nothing but its day keeps it.
    assert found["d1"].tiers == ("daily",)
    assert found["d1"].expires_at == datetime(2026, 11, 28, tzinfo=UTC)
    # d7 is the Sunday of last week: three further weeks begin, this one is the fourth.
    assert found["d7"].tiers == ("weekly",)
    assert found["d7"].expires_at == datetime(2026, 12, 7, tzinfo=UTC)
    # d22 is the last of October: November to next October are twelve months.
    assert found["d22"].tiers == ("monthly",)
    assert found["d22"].expires_at == datetime(2027, 10, 1, tzinfo=UTC)
    assert found["d0"].tiers == ("daily", "weekly", "monthly", "yearly")
    assert found["d0"].expires_at == datetime(2026, 12, 14, tzinfo=UTC), "its week outlasts its day"
    assert found["d30"].expires_at == NOW
    assert not found["d30"].keep


def test_the_only_backup_outlasts_what_it_can_know() -> None:
    last_year = decide([Candidate("only", datetime(2025, 3, 1, tzinfo=UTC))])["only"]
    assert last_year.expires_at == datetime(2030, 1, 1, tzinfo=UTC), "the fifth year after it that has a backup"


@pytest.mark.parametrize("policy", [RetentionPolicy(100_000), RetentionPolicy(0, 0, 0, 100_000), RetentionPolicy(7)])
def test_an_end_beyond_the_calendar_is_never(policy: RetentionPolicy) -> None:
    last = LAST + timedelta(hours=23)
    for now in (NOW, LAST, last):
        for backup in (Candidate("x", now), Candidate("x", now, "failed"), Candidate("x", now, type="on-demand")):
            [decision] = plan([backup], policy, now)
            assert decision.keep
            assert decision.expires_at is None or decision.expires_at > now
            if now > NOW:
                assert decision.expires_at is None
