"""How many commands one person may give within a minute, at the gate that all pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from services import commands
from services.access import rate
from services.access.rate import RateLimiter
from services.access.table import PERMISSIONS
from services.errors import TooManyCommands
from services.settings.web import WebSettings
from tests.support.installations import make_installation


def test_the_sixth_of_five_waits_until_the_first_is_a_minute_old_and_trying_does_not_prolong_it() -> None:
    now = 100.0
    limiter = RateLimiter(5, lambda: now)
    for _ in range(5):
        limiter.count("ada")
        now += 2
    for _ in range(50):
        with pytest.raises(TooManyCommands, match=r"ada has given 5 commands within a minute.*taken in 50 s"):
            limiter.count("ada")
    limiter.count("grace")
    now = 159.9
    with pytest.raises(TooManyCommands):
        limiter.count("ada")
    now = 160.0
    limiter.count("ada")
    with pytest.raises(TooManyCommands, match="in 2 s"):
        limiter.count("ada")


def test_names_without_end_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate, "_MOST_PEOPLE", 3)
    limiter = RateLimiter(2, lambda: 0.0)
    for name in ("a", "b", "a", "c", "d"):
        limiter.count(name)
    assert list(limiter._given) == ["a", "c", "d"], "the one that was silent longest is forgotten"


def test_pages_and_command_line_are_refused_alike_and_what_saves_the_data_never(tmp_path: Path) -> None:
    assert set(PERMISSIONS) >= rate.NEVER_COUNTED
    inst = make_installation(tmp_path, web=WebSettings(commands_per_minute=3))
    for _ in range(3):
        commands.submit_janitor(inst, apply=False, actor="dashboard", queue=False)
    with pytest.raises(TooManyCommands, match=r"dashboard has given 3 commands .* web\.commands_per_minute"):
        commands.submit_backup(inst, commands.BackupRequest("la_factoria"), actor="dashboard", queue=False)
    (last, *_) = inst.catalog.runs.active()
    commands.request_cancel(inst, last.id, actor="dashboard")
    commands.submit_emergency(
        inst, commands.EmergencyRequest("la_factoria", read_only=False, reason="disk"), actor="dashboard", queue=False
    )
    for _ in range(5):
        commands.submit_janitor(inst, apply=False, actor="schedule", queue=False)
    commands.submit_janitor(inst, apply=False, actor="cli:ada@host", queue=False)
    assert len(inst.catalog.runs.list(states=["queued"], limit=None)) == 9
    inst.close()
