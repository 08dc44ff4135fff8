"""What is settled before a backup or an adoption starts: its name, and whom it is encrypted to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services import commands
from services.backups.adopt import adopt_file
from services.backups.create import create_backup
from services.backups.plan import plan_backup
from services.backups.request import BackupRequest
from services.errors import AlreadyExists, InputError
from services.installation import Installation
from tests.catalog.rows import NOW, make_backup
from tests.support.installations import make_installation
from tests.support.run_context import RecordingRun


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = make_installation(tmp_path, clock=lambda: NOW)
    yield made
    made.close()


def back_up(installation: Installation, name: str) -> None:
    create_backup(installation, BackupRequest("la_factoria", name=name), RecordingRun())


def adopt(installation: Installation, name: str) -> None:
    adopt_file(installation, Path("old.dump"), "la_factoria", RecordingRun(), name=name)


@pytest.mark.parametrize("use_case", [back_up, adopt])
@pytest.mark.parametrize("key", ["b1.dump.zst", "b1.dump.zst.age", "b1.manifest.json", "b1.check-x-stored-y.json"])
def test_a_name_that_only_the_storage_knows_is_taken(
    installation: Installation, use_case: Callable[[Installation, str], None], key: str
) -> None:
    installation.storage("primary").put(f"la_factoria/{key}", b"0123456789")
    with pytest.raises(AlreadyExists, match="b1"):
        use_case(installation, "b1")


@pytest.mark.parametrize("use_case", [back_up, adopt])
def test_the_name_of_an_expired_backup_is_taken(
    installation: Installation, use_case: Callable[[Installation, str], None]
) -> None:
    installation.catalog.backups.add(make_backup("b1", state="expired", copies=()))
    with pytest.raises(AlreadyExists, match="b1"):
        use_case(installation, "b1")


def test_a_name_that_another_one_begins_with_is_free(installation: Installation) -> None:
    installation.storage("primary").put("la_factoria/release.4.dump.zst.age", b"0123456789")
    assert plan_backup(installation, "la_factoria", attempt=1, name="release").name == "release"


def test_a_name_of_the_moment_gives_way_to_another_of_the_same_second(installation: Installation) -> None:
    for name in ("la_factoria_backup_20261122_020011", "la_factoria_backup_20261122_020011-2"):
        assert plan_backup(installation, "la_factoria", attempt=1).name == name
        installation.storage("primary").put(f"la_factoria/{name}.dump.zst.age", b"0123456789")
    assert plan_backup(installation, "la_factoria", attempt=1).name.endswith("-3")


def test_a_later_attempt_never_shares_a_key_with_an_earlier_one(installation: Installation) -> None:
    keys = {plan_backup(installation, "la_factoria", attempt=attempt, name="b1").key for attempt in (1, 2, 3)}
    assert keys == {f"la_factoria/{name}.dump.zst.age" for name in ("b1", "b1_2", "b1_3")}


def test_what_is_to_be_encrypted_to_nobody_is_refused_at_once_and_before_anything_is_stored(tmp_path: Path) -> None:
    installation = make_installation(tmp_path, recipients=())
    dump = tmp_path / "old.dump"
    dump.touch()
    for refused in (
        lambda: commands.submit_backup(installation, BackupRequest("la_factoria"), actor="ada"),
        lambda: commands.submit_adopt(installation, dump, "la_factoria", actor="ada"),
        lambda: back_up(installation, "b1"),
        lambda: adopt(installation, "b1"),
    ):
        with pytest.raises(InputError, match="no recipient") as error:
            refused()
        assert "backups keygen" in error.value.hint
    assert installation.catalog.runs.list() == []
    assert list(installation.storage("primary").list()) == []
    assert plan_backup(installation, "la_factoria", attempt=1, encrypt=False).key.endswith(".dump.zst")
    installation.close()
