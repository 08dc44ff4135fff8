"""Several storages that are one place."""

from __future__ import annotations

from pathlib import Path

from services.settings.model import StorageSettings
from services.storage.one_disk import check_second_place, on_one_disk


def folder(name: str, path: Path) -> StorageSettings:
    return StorageSettings(name=name, url=f"file://{path}")


def test_folders_on_one_disk_are_no_second_place_also_before_they_are_made(tmp_path: Path) -> None:
    here, there = folder("one", tmp_path), folder("two", tmp_path / "not" / "yet")
    elsewhere, bucket = folder("proc", Path("/proc")), StorageSettings(name="s3", url="s3://backups/p")
    assert on_one_disk([here, there, elsewhere, bucket]) == [("one", "two")]
    [(result, words, hint)] = check_second_place([here, there])
    assert (result, words[:29], "bucket" in hint) == ("warning", "one and two lie on one disk, ", True)
    assert [found[0] for found in check_second_place([here, bucket])] == ["ok"]
    assert list(check_second_place([here])) == []
