"""``backups storage``: the runbook's check of the storage space."""

from __future__ import annotations

import json

from tests.cli.conftest import Shell


def limited(shell: Shell, limit: int) -> Shell:
    """The shell with so many bytes allowed in its second storage."""
    config = shell.folder / "backups.toml"
    text = config.read_text()
    config.write_text(text.replace('/second"\n', f'/second"\nlimit_bytes = {limit}\n'))
    return shell


def test_room_growth_and_copies_of_each_storage_as_json(two: Shell) -> None:
    backup = two.create()
    primary, second = two.json("storage")
    size = backup["stored_bytes"]
    assert [c["name"] for c in (primary, second)] == ["primary", "second"]
    assert (second["backups"], second["used_bytes"], second["missing_copies"]) == (1, size, 0)
    assert (second["growth_bytes_per_day"], second["full_in_days"]) == (None, None)
    assert second["by_class"] == [{"storage_class": "STANDARD", "copies": 1, "bytes": size}]
    assert second["by_database"] == [{"database": "la_factoria", "copies": 1, "bytes": size}]
    assert second["by_type"] == [{"type": "on-demand", "copies": 1, "bytes": size}]
    assert (second["severity"], second["next_bytes"], second["problem"]) == ("ok", size, None)


def test_a_storage_without_room_for_the_next_backup_ends_with_2_and_says_so(two: Shell) -> None:
    backup = two.create()
    limited(two, backup["stored_bytes"] + 10)
    result = two.run("storage")
    assert result.exit_code == 2
    assert "second: No room for the next backups" in result.stdout
    assert json.loads(two.run("storage", "--json").stdout)[1]["severity"] == "failure"


def test_copies_that_are_wanting_are_shown_with_their_reason(two: Shell) -> None:
    limited(two, 10)
    two.create()
    shown = json.loads(two.run("storage", "--json").stdout)
    assert (shown[0]["missing"], shown[1]["missing_copies"]) == ([], 1)
    (missing,) = shown[1]["missing"]
    assert (missing["state"], missing["attempts"]) == ("failed", 1)
    assert "limit_bytes" in missing["error"]
    text = two.run("storage").stdout
    assert "1 copy is wanting" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_storage_that_cannot_be_asked_is_unknown(two: Shell) -> None:
    config = two.folder / "backups.toml"
    config.write_text(config.read_text().replace("/second", "/not/there/second"))
    result = two.run("storage")
    assert result.exit_code == 3
    assert "not/there" in result.stdout


def test_what_each_tier_holds_is_told_with_how_many_backups(two: Shell) -> None:
    size = 2 * two.create()["stored_bytes"]  # a copy in each storage
    uses = two.json("storage", "--tiers")
    assert [use["tier"] for use in uses] == ["daily", "weekly", "monthly", "yearly", "other", "none"]
    assert uses[0] == {"database": "la_factoria", "tier": "daily", "backups": 1, "bytes": size}
    assert uses[-1] == {"database": "la_factoria", "tier": "none", "backups": 0, "bytes": 0}
    text = two.run("storage", "--tiers").stdout
    assert "nothing: goes next" in text
    assert max(map(len, text.splitlines())) <= 100
