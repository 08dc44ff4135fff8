"""Cleanups of an S3 server that refuses, fails or falls silent: nothing lost, nothing hidden, nothing in the way."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.backups.rebuild import rebuild
from services.catalog.model import Run
from services.settings.model import RetentionSettings
from tests.retention.lab import CONTENT, DAY, NOW, Lab, lab_settings
from tests.support.s3 import Fault, FaultServer, fault_server, moto_server, plain_client, settings_for

KEPT, GOING = ("d0", "d1", "d2"), ("d3", "d4", "d5", "d6")
"""Of seven daily backups under a policy of three days."""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def faults(moto: str) -> Iterator[FaultServer]:
    with fault_server(moto) as server:
        yield server


@pytest.fixture
def lab(faults: FaultServer, moto: str, tmp_path: Path) -> Iterator[Lab]:
    """Seven daily backups on S3; of the odd ones a copy on the local disk, too."""
    bucket = f"bucket-{secrets.token_hex(6)}"
    plain_client(moto).create_bucket(Bucket=bucket)
    settings = lab_settings(tmp_path)
    primary = settings_for(faults.endpoint, bucket, prefix="prod", timeout=2, name="primary")
    retention = RetentionSettings(daily=3, weekly=0, monthly=0, yearly=0)
    storages = (primary, settings.storage("second"))
    made = Lab(settings.model_copy(update={"storages": storages, "retention": retention}))
    for n in range(7):
        made.store(f"d{n}", NOW - n * DAY, storages=("primary", "second") if n % 2 else ("primary",))
    yield made
    made.inst.close()


def only(fault: Fault, *methods: str, having: str = "") -> Callable[[str, str], Fault | None]:
    return lambda method, path: fault if method in methods and having in path else None


def outcomes(run: Run) -> dict[str, str]:
    return {item["name"]: item["outcome"] for item in run.result["items"]}


def no_fault(method: str, path: str) -> None:
    return None


def assert_ended(lab: Lab) -> None:
    """Everything that was to go is gone, row and all, and a rebuild finds the rest."""
    assert {name for name, state in lab.states().items() if state == "expired"} == set(GOING)
    assert {copy.deletion_error for name in GOING for copy in lab.get(name).copies} == {""}
    for storage in ("primary", "second"):
        left = {key.removeprefix("la_factoria/").partition(".")[0] for key in lab.keys(storage)}
        assert left == set(KEPT if storage == "primary" else ["d1"])
    new = lab.emptied()
    rebuild(new.inst)
    assert sorted(new.states()) == sorted(KEPT)
    new.inst.close()


@pytest.mark.parametrize("fault", ["403", "500", "silent"])
def test_an_object_that_is_refused_stays_listed_whole_and_says_so_and_the_others_go(
    lab: Lab, faults: FaultServer, fault: Fault
) -> None:
    faults.fault = only(fault, "DELETE", having="d5.dump")
    run = lab.clean()
    assert run.state == "finished"
    assert outcomes(run) == dict.fromkeys(GOING, "deleted") | {"d5": "failed"}
    assert (run.result["outcome"], run.result["failed"], run.result["deleted"]) == ("partly failed", 1, 3)
    assert run.result["reason"].endswith("1 could not be deleted.")
    refused = lab.get("d5")
    assert refused.state == "finished"
    assert refused.is_good, "its object is there, and it can be restored"
    by_storage = {copy.storage: copy for copy in refused.copies}
    assert by_storage["second"].state == "deleted", "the copy that could be deleted is"
    assert by_storage["primary"].deletion_failed_at == NOW
    assert by_storage["primary"].deletion_error
    assert lab.inst.storage("primary").get(by_storage["primary"].key) == CONTENT
    assert [(r.outcome, r.storage) for r in lab.inst.catalog.deletions.list(backup_id=refused.id)
            if r.outcome != "deleted"] == [("failed", "primary")]  # fmt: skip
    [failing] = lab.plan().failing
    assert failing.name == "d5"
    new = lab.emptied()
    assert rebuild(new.inst).half_deleted == [], "its mark was taken back"
    assert new.get("d5").is_good
    new.inst.close()

    faults.fault = no_fault
    assert outcomes(lab.clean()) == {"d5": "deleted"}
    assert_ended(lab)


@pytest.mark.parametrize(
    ("fault", "beside"), [("403", "manifest"), ("500", "manifest"), ("403", "check-"), ("silent", "mark-deletion")]
)
def test_what_lies_beside_a_deleted_object_and_is_refused_is_taken_later(
    lab: Lab, faults: FaultServer, fault: Fault, beside: str
) -> None:
    """The object is gone by then: the backup is nothing that could be restored, and is not shown as that."""
    faults.fault = only(fault, "DELETE", having=f"d5.{beside}")
    run = lab.clean()
    assert outcomes(run) == dict.fromkeys(GOING, "deleted") | {"d5": "failed"}
    half = lab.get("d5")
    assert (half.state, half.is_good) == ("deleting", False)
    assert "The object is deleted" in {copy.storage: copy.deletion_error for copy in half.copies}["primary"]
    new = lab.emptied()
    rebuild(new.inst)
    assert new.states().get("d5") != "finished"
    new.inst.close()
    faults.fault = no_fault
    assert outcomes(lab.clean()) == {"d5": "deleted"}
    assert_ended(lab)


@pytest.mark.parametrize("fault", ["403", "500"])
def test_a_storage_that_takes_no_mark_loses_nothing(lab: Lab, faults: FaultServer, fault: Fault) -> None:
    faults.fault = only(fault, "PUT", having="mark-deletion")
    before = lab.keys()
    run = lab.clean()
    assert set(outcomes(run).values()) == {"failed"}
    assert lab.keys() == before
    assert all(lab.get(name).is_good for name in GOING)
    faults.fault = no_fault
    assert set(outcomes(lab.clean()).values()) == {"deleted"}
    assert_ended(lab)


def test_a_storage_that_deletes_nothing_at_all_keeps_everything_and_says_so(lab: Lab, faults: FaultServer) -> None:
    """Not even its marks can be removed: they are overwritten, and say that they are not set."""
    faults.fault = only("403", "DELETE")
    run = lab.clean()
    assert set(outcomes(run).values()) == {"failed"}
    assert all(lab.get(name).is_good for name in GOING)
    new = lab.emptied()
    assert rebuild(new.inst).half_deleted == []
    assert {new.get(name).state for name in GOING} == {"finished"}
    new.inst.close()
    faults.fault = no_fault
    lab.clean()
    assert_ended(lab)


def test_a_storage_that_is_away_is_asked_a_few_times_and_does_not_hold_up_the_rest(
    lab: Lab, faults: FaultServer
) -> None:
    local = [lab.store(f"local{n}", NOW - (50 + n) * DAY, storages=("second",)) for n in range(2)]
    faults.fault = lambda method, path: "500"
    faults.requests.clear()
    run = lab.clean()
    assert {name: word for name, word in outcomes(run).items() if word == "deleted"} == {
        backup.name: "deleted" for backup in local
    }
    last = lab.get("d3").copies[0]
    assert last.deletion_error.startswith("Not tried, since primary does not answer")
    assert not any("d3." in path for _, path in faults.requests)
    assert all(lab.get(name).is_good for name in GOING), "nothing of them was touched"
    faults.fault = no_fault
    assert outcomes(lab.clean()) == dict.fromkeys(GOING, "deleted")


def test_a_storage_that_fails_now_and_then_is_not_taken_for_away(lab: Lab, faults: FaultServer) -> None:
    old = [lab.store(f"old{n}", NOW - (60 + n) * DAY).name for n in range(4)]
    faults.fault = lambda method, path: "500" if method == "DELETE" and "old" in path else None
    run = lab.clean()
    assert outcomes(run) == dict.fromkeys(GOING, "deleted") | dict.fromkeys(old, "failed")
    assert {name for name, state in lab.states().items() if state == "expired"} == set(GOING)


def test_a_server_that_falls_silent_after_it_deleted_leaves_the_backup_unsure(
    lab: Lab, faults: FaultServer, moto: str
) -> None:
    """The answer to the deletion was lost, and nobody can look: it is neither good nor gone until somebody can."""
    gone = False

    def deaf(method: str, path: str) -> Fault | None:
        nonlocal gone
        if method == "DELETE" and "d5.dump" in path and not gone:
            gone = True
            bucket, _, key = path.lstrip("/").partition("/")
            plain_client(moto).delete_object(Bucket=bucket, Key=key.partition("?")[0])
        return "500" if gone and "d5." in path else None

    faults.fault = deaf
    run = lab.clean()
    assert outcomes(run)["d5"] == "failed"
    unsure = lab.get("d5")
    assert (unsure.state, unsure.is_good) == ("deleting", False)
    faults.fault = no_fault
    assert outcomes(lab.clean()) == {"d5": "deleted"}
    assert_ended(lab)
