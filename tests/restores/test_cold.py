"""Restores and restore tests of a copy in cold storage: refused with what to do, or waited for, in the RTO as well."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from moto.moto_api import state_manager

from services.backups import thaw_backup
from services.backups.copy_backup import copy_backup
from services.backups.thaw_state import look_at_thaw
from services.catalog.model import Backup, Copy
from services.errors import Cancelled, NotThawed
from services.installation import Installation
from services.postgres.connection import connect
from services.restores import thawed
from services.restores.restore import restore_backup
from services.restores.restore_test import run_restore_test
from services.settings.model import COLD_CLASSES, StorageSettings
from services.storage.cold import move_to_class
from tests.restores.conftest import NewLab
from tests.restores.lab import Lab, report_of
from tests.support.s3 import moto_server, plain_client, settings_for


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def slow_thaw(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have moto's thaws go on until they were looked at three times, and look often."""
    monkeypatch.setattr(thawed, "POLL_SECONDS", 0.05)
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 3})
    yield
    state_manager.unset_transition("s3::keyrestore")


@pytest.fixture
def cold_lab(new_lab: NewLab, moto: str, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab with a second storage, ``cold``, in a bucket."""
    bucket = f"bucket-{secrets.token_hex(6)}"
    plain_client(moto).create_bucket(Bucket=bucket)
    cold = settings_for(moto, bucket, name="cold").model_copy(update={"storage_classes": COLD_CLASSES})
    folder = tmp_path_factory.mktemp("cold") / "storage"
    return new_lab(storages=(StorageSettings(name="primary", url=f"file://{folder}"), cold))


def frozen(lab: Lab) -> Backup:
    """A backup whose only copy lies in GLACIER."""
    inst = lab.installation
    backup = lab.back_up()
    with lab.run("copy") as run:
        copy_backup(inst, backup.id, "cold", run)
    moved = move_to_class(
        inst.storage("cold"), backup.copies[0].key, "GLACIER", progress=lambda _: None, check_cancelled=lambda: None
    )
    inst.storage("primary").delete(backup.copies[0].key)
    (cold,) = [copy for copy in lab.again(backup).copies if copy.storage == "cold"]
    row = Copy(**{**vars(cold), "storage_class": "GLACIER", "etag": moved.etag})
    inst.catalog.backups.save_copy(backup.id, row)
    inst.catalog.backups.set_copy_state(backup.id, "primary", "missing", checked_at=inst.clock())
    return lab.again(backup)


def test_a_restore_test_of_a_frozen_copy_says_what_to_do_and_how_long_it_takes(cold_lab: Lab) -> None:
    backup = frozen(cold_lab)
    with cold_lab.run() as run, pytest.raises(NotThawed) as refused:
        run_restore_test(cold_lab.installation, backup, None, run)
    assert "frozen: it cannot be read before it is thawed, Standard within 5 h" in str(refused.value)
    assert f"backups thaw {backup.name}" in refused.value.hint
    assert cold_lab.again(backup).verification_passed is not False


def test_a_restore_of_a_frozen_copy_makes_no_target(cold_lab: Lab) -> None:
    backup = frozen(cold_lab)
    with cold_lab.run("restore") as run, pytest.raises(NotThawed):
        restore_backup(cold_lab.installation, backup, "never_made", run, server_url=None)
    with connect(cold_lab.source.with_database("postgres")) as connection:
        assert connection.execute("SELECT 1 FROM pg_database WHERE datname = 'never_made'").fetchone() is None


@pytest.mark.usefixtures("slow_thaw")
def test_a_restore_test_that_waits_asks_for_the_thaw_and_counts_it_in_the_rto(cold_lab: Lab) -> None:
    backup = frozen(cold_lab)
    with cold_lab.run() as run:
        found = run_restore_test(cold_lab.installation, backup, None, run, wait_for_thaw=True)
    assert (found.outcome, found.storage) == ("passed", "cold"), found.reason
    report = report_of(found)
    assert report.thaw_seconds > 0
    assert report.rto_seconds == report.thaw_seconds + report.download_seconds + report.restore_seconds
    assert found.detail["rto_seconds"] == report.rto_seconds
    (cold,) = [copy for copy in cold_lab.again(backup).copies if copy.storage == "cold"]
    assert cold.thaw_tier == "Standard"
    assert cold.thawed_until is not None


@pytest.mark.usefixtures("slow_thaw")
def test_a_restore_that_waits_restores_from_the_thawed_copy(cold_lab: Lab) -> None:
    backup = frozen(cold_lab)
    with cold_lab.run("restore") as run:
        report = restore_backup(
            cold_lab.installation, backup, "from_the_cold", run, server_url=None, wait_for_thaw=True
        )
    assert report.outcome == "passed"
    assert report.thaw_seconds > 0


@pytest.mark.usefixtures("slow_thaw")
def test_waiting_for_a_thaw_ends_with_a_cancel(cold_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = frozen(cold_lab)
    with cold_lab.run() as run:
        looks = []

        def look(inst: Installation, backup_id: str, copy: Copy) -> Copy:
            """Say of every copy that it is being thawed still."""
            looks.append(copy.thaw_requested_at)
            if len(looks) == 5:
                run.stop(Cancelled("No more."))
            return replace(look_at_thaw(inst, backup_id, copy), thawed_at=None, thawed_until=None)

        for module in (thawed, thaw_backup):
            monkeypatch.setattr(module, "look_at_thaw", look)
        with pytest.raises(Cancelled):
            run_restore_test(cold_lab.installation, backup, None, run, wait_for_thaw=True)
    assert looks[-1] is not None


def test_what_was_thawed_before_counts_with_the_time_that_it_took(cold_lab: Lab) -> None:
    backup = frozen(cold_lab)
    inst = cold_lab.installation
    (cold,) = [copy for copy in backup.copies if copy.storage == "cold"]
    plain = {"Days": 1, "GlacierJobParameters": {"Tier": "Bulk"}}
    endpoint = inst.settings.storage("cold").endpoint_url or ""
    bucket = inst.settings.storage("cold").url.removeprefix("s3://")
    plain_client(endpoint).restore_object(Bucket=bucket, Key=cold.key, RestoreRequest=plain)
    asked = inst.clock() - timedelta(hours=9)
    row = Copy(
        **{**vars(cold), "thaw_requested_at": asked, "thawed_at": asked + timedelta(hours=7), "thaw_tier": "Bulk"}
    )
    inst.catalog.backups.save_copy(backup.id, row)
    with cold_lab.run() as run:
        found = run_restore_test(inst, cold_lab.again(backup), None, run)
    assert found.outcome == "passed"
    assert report_of(found).thaw_seconds == 7 * 3600
