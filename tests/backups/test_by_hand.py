"""What a person copies: the runbook's log entry, and the commands that restore without this product."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.backups.by_hand import restore_commands
from services.backups.log_entry import render_log_entry
from tests.pages.worlds import NOW, add_backup, installation


def test_the_log_entry_has_the_lines_of_the_runbooks_template(tmp_path: Path) -> None:
    backup = add_backup(installation(tmp_path, "orders"), "orders", NOW, note="before\nthe deploy")
    assert render_log_entry(backup).splitlines() == [
        "Date: 2026-11-22 12:00:00",
        "Type: On-Demand",
        "Size: 8.40 MB",
        "Duration: 14 s",
        f"Location: {backup.copies[0].location}",
        "Verified: No",
        "Notes: before the deploy",
    ]


def test_verified_is_yes_only_for_what_passed_and_says_how_deep(tmp_path: Path) -> None:
    backup = add_backup(installation(tmp_path, "orders"), "orders", NOW)

    def verified(**changes: Any) -> str:
        entry = render_log_entry(replace(backup, **changes))
        return next(line for line in entry.splitlines() if line.startswith("Verified"))

    later = NOW + timedelta(minutes=1)
    checked = {"verification_level": "checksum", "verification_at": later}
    assert verified(**checked, verification_passed=True) == "Verified: Yes (checksum 2026-11-22 12:01:00)"
    assert verified(**checked, verification_passed=False) == "Verified: No (checksum failed 2026-11-22 12:01:00)"
    proven = verified(verification_level="restore", verification_at=later, verification_passed=True, proven_at=later)
    assert proven == "Verified: Yes (restore test 2026-11-22 12:01:00)"


def test_the_commands_name_the_copy_check_its_hash_and_stop_at_the_first_failure(tmp_path: Path) -> None:
    backup = add_backup(installation(tmp_path, "orders"), "orders", NOW)
    script = restore_commands(backup, backup.copies[0])
    file = f"{backup.name}.dump.zst.age"
    assert f"echo '{backup.sha256}  {file}' | sha256sum --check" in script
    assert "set -o pipefail" in script
    pipe = shlex.split(script.split("set -o pipefail\n")[1].replace("\\\n", ""))
    assert pipe[:5] == ["age", "--decrypt", "--identity", "key.txt", file]
    assert pipe[5:9] == ["|", "zstd", "--decompress", "--stdout"]
    assert pipe[9:] == [
        "|", "pg_restore", "--no-owner", "--no-acl", "--exit-on-error", "--dbname", "orders_restored",
    ]  # fmt: skip


def test_a_hostile_place_stays_one_word_and_s3_is_fetched_from_its_endpoint(tmp_path: Path) -> None:
    backup = add_backup(installation(tmp_path, "orders"), "orders", NOW, encryption="none")
    copy = replace(backup.copies[0], location="s3://bucket/a b; rm -rf x", key="orders/a b; rm -rf x")
    script = restore_commands(backup, copy, endpoint_url="https://r2.example/$(x)")
    assert "aws s3 cp --endpoint-url 'https://r2.example/$(x)' 's3://bucket/a b; rm -rf x' 'a b; rm -rf x'" in script
    assert "zstd --decompress --stdout 'a b; rm -rf x' \\\n  | pg_restore" in script
