"""The checks of slots and of the budget of misses: well while each is kept, and a warning as soon as one is not."""

from __future__ import annotations

from pathlib import Path

from services.health.checks import examine
from services.health.model import HealthCheck
from services.installation import Installation
from tests.pages.worlds import NOW, installation, scheduled


def check(inst: Installation, name: str) -> HealthCheck | None:
    return next((c for c in examine(inst).checks if c.name == name), None)


def test_slots_that_were_satisfied_are_well_and_leave_the_budget_alone(tmp_path: Path) -> None:
    inst = scheduled(tmp_path, "orders", missed=(), late=())
    slot, budget = check(inst, "slot"), check(inst, "budget")
    assert slot is not None
    assert budget is not None
    assert (slot.severity, budget.severity) == ("ok", "ok")
    assert budget.sentence == "30 of 30 slots satisfied in 30 d · target 99.9 % · 0 of 0 misses used"


def test_a_slot_that_was_missed_warns_from_its_deadline_on_and_spends_the_budget(tmp_path: Path) -> None:
    inst = scheduled(tmp_path, "orders", missed=(0,), late=())
    slot, budget = check(inst, "slot"), check(inst, "budget")
    assert slot is not None
    assert budget is not None
    assert (slot.severity, slot.since) == ("warning", NOW.replace(hour=6))
    assert "missed · deadline 4 h" in slot.sentence
    assert (budget.severity, budget.count) == ("warning", 1)
    assert "1 of 0 misses used" in budget.sentence


def test_a_miss_of_days_ago_still_weighs_on_the_budget_and_no_more_on_the_last_slot(tmp_path: Path) -> None:
    inst = scheduled(tmp_path, "orders", missed=(5,), late=())
    slot, budget = check(inst, "slot"), check(inst, "budget")
    assert slot is not None
    assert budget is not None
    assert (slot.severity, budget.severity) == ("ok", "warning")


def test_without_a_schedule_nothing_is_said_of_slots(tmp_path: Path) -> None:
    inst = installation(tmp_path, "orders")
    assert check(inst, "slot") is None
    assert check(inst, "budget") is None
