"""Policies: read, written, and refused with what is allowed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.errors import InputError
from services.retention.policy import RetentionPolicy


def test_the_runbooks_policy_is_the_default() -> None:
    policy = RetentionPolicy()
    assert (policy.daily, policy.weekly, policy.monthly, policy.yearly, policy.minimum) == (7, 4, 12, 5, 3)
    assert policy.partial_age == timedelta(days=30)
    assert RetentionPolicy.parse(str(policy)) == policy
    assert RetentionPolicy.parse(" 1, 0,0 ,0", minimum=1) == RetentionPolicy(1, 0, 0, 0, 1)


@pytest.mark.parametrize(
    "text",
    ["", "7", "7,4,12", "7,4,12,5,1", "7;4;12;5", "7,4,12,x", "7,4,12,", "7,4,1.5,5", "٧,4,12,5", "1" * 400, "0,0,0,0",
     "-7,4,12,5", "7,4,12,-1", "100001,0,0,0", "999999999999999999,4,12,5"],
)  # fmt: skip
def test_a_policy_that_nobody_can_mean_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InputError) as caught:
        RetentionPolicy.parse(text)
    assert caught.value.exit_code == 2
    assert "four whole numbers from 0 to 100,000" in caught.value.hint
    assert "7,4,12,5" in caught.value.hint
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("minimum", [0, -1, 100_001])
def test_a_minimum_that_would_let_the_newest_go_is_refused(minimum: int) -> None:
    with pytest.raises(InputError, match="minimum") as caught:
        RetentionPolicy(minimum=minimum)
    assert "from 1" in caught.value.hint


def test_every_wrong_number_is_named_at_once() -> None:
    with pytest.raises(InputError, match="daily -1 and yearly -2"):
        RetentionPolicy(-1, 4, 12, -2)
    with pytest.raises(InputError, match="no time"):
        RetentionPolicy(partial_age=timedelta(seconds=-1))
