"""`backups simulate`: the pure planner on the command line, without any installation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app

NOW = "2026-11-22T12:00:00Z"
BACKUP = {
    "id": "b1", "finished_at": "2026-11-22T02:10:00Z", "state": "finished", "type": "scheduled", "pinned": False,
    "proven_at": None, "verification_passed": True,
}  # fmt: skip


def simulate(inventory: Path, *words: str, policy: str = "7,4,12,5", stdin: bytes | None = None) -> Result:
    """Run it in an environment in which nothing could be opened: it must not even try."""
    arguments = ["simulate", "--inventory", str(inventory), "--policy", policy, "--now", NOW, *words]
    return CliRunner().invoke(app, arguments, input=stdin, env={"BACKUPS_CONFIG": "/nonexistent/backups.toml"})


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    days = [f"2026-{month:02d}-{day:02d}T02:10:00Z" for month in range(1, 11) for day in range(1, 29)]
    backups = [BACKUP | {"id": f"d{n}", "finished_at": at} for n, at in enumerate(days)]
    backups += [
        BACKUP | {"id": "on its way", "finished_at": None, "state": "running"},
        BACKUP | {"id": "pin", "finished_at": days[3], "pinned": True},
        BACKUP | {"id": "proof", "finished_at": days[5], "proven_at": NOW},
        BACKUP | {"id": "broken", "finished_at": days[7], "state": "failed", "verification_passed": None},
        BACKUP | {"id": "ahead", "finished_at": "2026-11-22T12:00:01Z", "verification_passed": False},
    ]
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps(backups))
    return path


def test_it_answers_in_input_order_with_keep_tiers_and_reasons(inventory: Path) -> None:
    result = simulate(inventory, "--json")
    assert result.exit_code == 0, result.stderr
    answer: list[dict[str, Any]] = json.loads(result.stdout)
    assert [member["id"] for member in answer] == [member["id"] for member in json.loads(inventory.read_text())]
    assert {tuple(member) for member in answer} == {("id", "keep", "tiers", "reasons")}
    kept = {member["id"]: member for member in answer if member["keep"]}
    assert {member["id"]: member for member in answer if not member["reasons"]} == {
        member["id"]: {"id": member["id"], "keep": False, "tiers": [], "reasons": []}
        for member in answer
        if member["id"] not in kept
    }
    counts = {tier: sum(tier in member["tiers"] for member in answer) for tier in ("daily", "weekly", "monthly")}
    assert counts == {"daily": 7, "weekly": 4, "monthly": 10}
    assert kept["d279"]["reasons"] == ["daily", "weekly", "monthly", "yearly", "minimum"]
    assert kept["d279"]["tiers"] == ["daily", "weekly", "monthly", "yearly"]
    others = {name: kept[name]["reasons"] for name in ("on its way", "pin", "proof", "ahead")}
    assert others == {"on its way": ["active"], "pin": ["pinned"], "proof": ["proven"],
                      "ahead": ["future", "recent failure", "no newer good"]}  # fmt: skip
    assert "broken" not in kept


def test_people_read_a_table_with_the_reason_why_something_goes(inventory: Path) -> None:
    result = simulate(inventory)
    assert result.exit_code == 0
    assert "outside every tier" in result.stdout
    assert "failed, older than 7" in " ".join(result.stdout.split())
    assert "are kept." in result.stdout


def test_it_reads_standard_input_and_what_list_writes(tmp_path: Path) -> None:
    listed = {
        "id": "b1", "name": "x", "database": "orders", "type": "on-demand", "state": "finished",
        "finished_at": "2026-01-01T00:00:00Z", "excluded": ["public.logs"], "trust": "signed", "pinned": False,
        "verification": {"level": "checksum", "at": None, "passed": False}, "proven_at": None, "copies": [],
    }  # fmt: skip
    other = listed | {"id": "b2", "verification": {"passed": True}}
    whole = listed | {"id": "b3", "database": "billing", "excluded": [], "verification": {"passed": None}}
    result = simulate(Path("-"), "--json", stdin=json.dumps([listed, other, whole]).encode())
    assert result.exit_code == 0, result.stderr
    reasons = {member["id"]: member["reasons"] for member in json.loads(result.stdout)}
    assert reasons["b1"] == ["no newer good"]
    assert reasons["b2"] == [], "partial, and older than its age"
    assert "daily" in reasons["b3"], "planned by itself"


@pytest.mark.parametrize("policy", ["0,0,0,0", "-1,4,12,5", "7,4,12", "seven", "7,4,12,5,3", ""])
def test_a_wrong_policy_is_refused_with_what_is_allowed(inventory: Path, policy: str) -> None:
    result = simulate(inventory, "--json", policy=policy)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert "for example 7,4,12,5" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"{}", "not a list"),
        (b"[1]", "Member 1 of the inventory is not an object"),
        (b"[" * 100_000, "not JSON"),
        ([BACKUP, BACKUP], "Member 2 of the inventory has the id of an earlier one"),
        ([BACKUP | {"id": ""}], "wrong id"),
        ([BACKUP | {"id": 7}], "wrong id"),
        ([BACKUP | {"finished_at": "2026-11-22T02:10:00"}], "wrong finished_at"),
        ([BACKUP | {"finished_at": "0001-01-01T00:00:00+14:00"}], "wrong finished_at"),
        ([BACKUP | {"finished_at": None}], "wrong finished_at"),
        ([BACKUP | {"finished_at": 17}], "wrong finished_at"),
        ([BACKUP | {"state": "done"}], "one of queued, running, finished"),
        ([BACKUP | {"type": "weekly"}], "one of scheduled, on-demand, emergency, base"),
        ([BACKUP | {"type": ["scheduled"]}], "one of scheduled"),
        ([BACKUP | {"pinned": "no"}], "true, false or null"),
        ([BACKUP | {"verification_passed": 1}], "true, false or null"),
        ([{key: value for key, value in BACKUP.items() if key != "type"}], "has no type"),
    ],
)  # fmt: skip
def test_a_wrong_inventory_says_which_member_and_what_is_allowed(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "inventory.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    result = simulate(path, "--json")
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "Write" in result.stderr or "unique" in result.stderr


@pytest.mark.parametrize("words", [("--now", "yesterday"), ("--now", "2026-11-22T12:00:00"), ("--minimum", "0")])
def test_other_wrong_options_are_refused(inventory: Path, words: tuple[str, ...]) -> None:
    result = simulate(inventory, *words)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = simulate(tmp_path / "nowhere.json")
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
