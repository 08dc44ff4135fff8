"""The plans that pages share: made once, and anew as soon as something has changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

import services.retention.current as current
from services import commands
from services.retention.current import current_plans
from services.retention.policy import RetentionPolicy
from tests.retention.conftest import on_both_engines
from tests.retention.lab import DAY, NOW, Lab


@on_both_engines
def test_they_are_made_once_and_anew_after_each_change(lab: Lab) -> None:
    lab.daily(10)
    first = current_plans(lab.inst)
    assert current_plans(lab.inst) is first
    lab.now += timedelta(seconds=1)
    commands.set_pin(lab.inst, lab.get("d9").id, pinned=True, actor="ada")
    pinned = current_plans(lab.inst)
    assert pinned.by_id[lab.get("d9").id].decision.reasons == ("pinned",)
    for change in (
        lambda: lab.store("new", NOW + timedelta(hours=1)),
        lab.clean,
        lambda: lab.check(lab.get("d1"), "checksum", "failed"),
        lambda: commands.submit_verification(lab.inst, lab.get("d0").id, "checksum", actor="eve", queue=False),
    ):
        before = current_plans(lab.inst)
        lab.now += timedelta(seconds=1)
        change()
        assert current_plans(lab.inst) is not before
        assert current_plans(lab.inst) is current_plans(lab.inst)
    assert "active" in current_plans(lab.inst).by_id[lab.get("d0").id].decision.reasons


def test_they_are_made_anew_after_a_minute_and_a_costly_one_is_shown_a_little_longer(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.daily(3)
    clock = [1000.0]
    monkeypatch.setattr(current, "monotonic", lambda: clock[0])
    first = current_plans(lab.inst)
    clock[0] += current.MAX_AGE + 1
    second = current_plans(lab.inst)
    assert second is not first

    def slow(*args: object, make: object = current.load_plans) -> object:
        clock[0] += 2.0
        return make(*args)  # type: ignore[operator]

    monkeypatch.setattr(current, "load_plans", slow)
    clock[0] += current.MAX_AGE + 1
    costly = current_plans(lab.inst)
    lab.store("new", NOW + DAY)
    assert current_plans(lab.inst) is costly, "made at each change it would take all the time there is"
    clock[0] += current.PATIENCE * 2.0
    assert current_plans(lab.inst) is not costly


def test_many_who_look_at_once_have_it_made_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.daily(3)
    made: list[int] = []
    load = current.load_plans
    monkeypatch.setattr(current, "load_plans", lambda inst: (made.append(1), load(inst))[1])
    with ThreadPoolExecutor(8) as pool:
        plans = list(pool.map(lambda _: current_plans(lab.inst), range(16)))
    assert len(set(map(id, plans))) == len(made) == 1


def test_other_policies_and_horizons_are_remembered_but_not_without_end(lab: Lab) -> None:
    lab.daily(20)
    plans = current_plans(lab.inst)
    own = plans.of("la_factoria")
    assert plans.under("la_factoria", own.policy) is own
    other = plans.under("la_factoria", RetentionPolicy(14))
    assert other is plans.under("la_factoria", RetentionPolicy(14))
    assert len(other.kept) == 14 + 1
    later = plans.under("la_factoria", own.policy, 365 * DAY)
    assert later.kept == (), "the year's will be one of December"
    assert len(later.backups) == 20
    assert plans.store_at("la_factoria", own.policy, 365 * DAY).of_today == 0
    for n in range(1, 200):
        plans.under("la_factoria", RetentionPolicy(n))
        plans.store_at("la_factoria", RetentionPolicy(n), DAY)
    assert len(plans._others) <= 64
    assert len(plans._stores) <= 64
