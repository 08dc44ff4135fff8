"""Storage classes and thaws: on moto's server, which has them, and on JuiceFS's gateway, which has none."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from moto.moto_api import state_manager

from services.errors import Cancelled, NoStorageClass, NotThawed, ObjectMissing, StorageError
from services.settings.model import StorageSettings
from services.storage import s3_cold
from services.storage.classes import cold_classes, default_cold_class, is_colder, is_frozen, thaw_time
from services.storage.cold import ThawState, move_to_class, refuse_class, request_thaw, try_class
from services.storage.local import LocalStorage
from services.storage.open import open_storage
from services.storage.protocol import Storage, StoredObject
from tests.storage.conftest import new_bucket
from tests.support.s3 import FaultServer, settings_for

KEY = "la_factoria/b1.dump.zst.age"
AWS = StorageSettings(name="aws", url="s3://bucket/prefix")
R2 = StorageSettings(name="r2", url="s3://bucket", endpoint_url="https://abc.eu.r2.cloudflarestorage.com")
OTHER = StorageSettings(name="minio", url="s3://bucket", endpoint_url="https://minio.example")
FOLDER = StorageSettings(name="disk", url="file:///srv/backups")
SAYS_GLACIER = OTHER.model_copy(update={"storage_classes": ("GLACIER",)})


def move(storage: Storage, to: str, key: str = KEY) -> list[int]:
    """Move an object and return the progress that was told."""
    told: list[int] = []
    move_to_class(storage, key, to, progress=told.append, check_cancelled=lambda: None)
    return told


@pytest.fixture
def bucket(moto: str) -> Storage:
    return open_storage(settings_for(moto, new_bucket(moto), prefix="prod"))


@pytest.fixture
def slow_thaw() -> Iterator[None]:
    """Have moto's thaws go on until they were looked at three times."""
    state_manager.set_transition("s3::keyrestore", {"progression": "manual", "times": 3})
    yield
    state_manager.unset_transition("s3::keyrestore")


def test_the_classes_are_those_of_the_endpoint_unless_the_settings_say_otherwise() -> None:
    assert cold_classes(AWS)[0] == "INTELLIGENT_TIERING"
    assert cold_classes(AWS.model_copy(update={"endpoint_url": "https://s3.eu-west-1.amazonaws.com"})) == cold_classes(
        AWS
    )
    assert cold_classes(R2) == ("STANDARD_IA",)
    assert cold_classes(OTHER) == cold_classes(FOLDER) == ()
    assert cold_classes(SAYS_GLACIER) == ("GLACIER",)
    deceiving = OTHER.model_copy(update={"endpoint_url": "https://amazonaws.com.evil.example"})
    assert cold_classes(deceiving) == ()
    assert [default_cold_class(s) for s in (AWS, R2, OTHER, FOLDER)] == ["GLACIER", "STANDARD_IA", None, None]


def test_an_unknown_class_in_the_settings_is_a_fault() -> None:
    with pytest.raises(ValueError, match="GLACIR"):
        StorageSettings(name="a", url="s3://bucket", storage_classes=("GLACIR",))


@pytest.mark.parametrize(
    ("settings", "name", "words"),
    [
        (FOLDER, "GLACIER", "is a folder"),
        (R2, "GLACIER", "no class GLACIER; it has STANDARD_IA"),
        (OTHER, "GLACIER", "storage_classes"),
        (SAYS_GLACIER, "DEEP_ARCHIVE", "it has GLACIER"),
    ],
)
def test_a_class_that_a_storage_lacks_is_refused_without_asking_it(
    settings: StorageSettings, name: str, words: str
) -> None:
    with pytest.raises(NoStorageClass) as refused:
        refuse_class(settings, name)
    assert words in str(refused.value)
    assert refused.value.exit_code == 2


def test_the_times_of_a_thaw_are_those_of_class_tier_and_size() -> None:
    assert thaw_time("GLACIER", "Standard", 10) == timedelta(hours=5)
    assert thaw_time("GLACIER", "Bulk", 10) == timedelta(hours=12)
    assert thaw_time("GLACIER", "Expedited", 10) == timedelta(minutes=5)
    assert thaw_time("GLACIER", "Expedited", 300 * 10**9) == timedelta(minutes=5, seconds=1000)
    assert thaw_time("DEEP_ARCHIVE", "Standard", 10) == timedelta(hours=12)
    assert thaw_time("DEEP_ARCHIVE", "Bulk", 10) == timedelta(hours=48)
    assert thaw_time("DEEP_ARCHIVE", "Expedited", 10) == thaw_time("UNHEARD_OF", "Bulk", 10) == timedelta(hours=48)


def test_colder_is_what_comes_later_and_only_two_classes_are_frozen() -> None:
    assert is_colder("GLACIER", "STANDARD")
    assert not is_colder("STANDARD_IA", "GLACIER")
    assert not is_colder("GLACIER", "GLACIER")
    frozen = [name for name in (*cold_classes(AWS), "STANDARD", "ODD") if is_frozen(name)]
    assert frozen == ["GLACIER", "DEEP_ARCHIVE"]


@pytest.mark.parametrize("to", ["STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"])
def test_an_object_is_moved_where_it_lies(bucket: Storage, to: str) -> None:
    stored = bucket.put(KEY, b"whole")
    assert move(bucket, to) == [5]
    after = bucket.stat(KEY)
    assert (after.storage_class, after.bytes, after.etag) == (to, 5, stored.etag)
    assert [(e.key, e.storage_class) for e in bucket.list()] == [(KEY, to)]
    if is_frozen(to):
        with pytest.raises(NotThawed, match="thaw"):
            bucket.get(KEY)
    else:
        assert bucket.get(KEY) == b"whole"


def test_a_large_object_is_moved_in_parts_with_progress(bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_cold, "MAX_SINGLE", 6 << 20)
    monkeypatch.setattr(s3_cold, "PART_BYTES", 5 << 20)
    data = secrets.token_bytes(12 << 20)
    writer = bucket.writer(KEY)
    writer.write(data)
    writer.commit()
    told = move(bucket, "STANDARD_IA")
    assert sorted(told) == told
    assert told[-1] == len(data)
    assert len(told) == 4
    assert bucket.stat(KEY).storage_class == "STANDARD_IA"
    assert hashlib.sha256(bucket.get(KEY)).digest() == hashlib.sha256(data).digest()
    assert bucket.unfinished() == []


def test_what_is_cancelled_or_fails_in_the_middle_leaves_the_object_as_it_was(
    faults: FaultServer, moto: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_cold, "MAX_SINGLE", 6 << 20)
    monkeypatch.setattr(s3_cold, "PART_BYTES", 5 << 20)
    storage = open_storage(settings_for(faults.endpoint, new_bucket(moto)))
    storage.put(KEY, secrets.token_bytes(12 << 20))

    def stop() -> None:
        raise Cancelled("No more.")

    with pytest.raises(Cancelled):
        move_to_class(storage, KEY, "GLACIER", progress=lambda _: None, check_cancelled=stop)
    faults.fault = lambda method, path: "500" if method == "PUT" and "partNumber=2" in path else None
    with pytest.raises(StorageError):
        move(storage, "GLACIER")
    faults.fault = lambda method, path: None
    assert storage.stat(KEY).storage_class == "STANDARD"
    assert storage.unfinished() == []
    assert len(storage.get(KEY)) == 12 << 20


def test_an_object_that_is_replaced_meanwhile_stays_as_it_is(bucket: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_cold, "MAX_SINGLE", 6 << 20)
    monkeypatch.setattr(s3_cold, "PART_BYTES", 5 << 20)
    bucket.put(KEY, secrets.token_bytes(12 << 20))
    told: list[int] = []

    def replace_it(count: int) -> None:
        told.append(count)
        if len(told) == 1:
            bucket.put(KEY, b"another")

    with pytest.raises(StorageError):
        move_to_class(bucket, KEY, "GLACIER", progress=replace_it, check_cancelled=lambda: None)
    assert (bucket.get(KEY), bucket.stat(KEY).storage_class) == (b"another", "STANDARD")
    assert bucket.unfinished() == []


def test_moving_what_is_not_there_says_so(bucket: Storage) -> None:
    with pytest.raises(ObjectMissing):
        move(bucket, "GLACIER")


def test_a_class_that_the_server_does_not_know_changes_nothing(bucket: Storage) -> None:
    bucket.put(KEY, b"whole")
    with pytest.raises(NoStorageClass, match="InvalidStorageClass"):
        move(bucket, "FROZEN_SOLID")
    assert bucket.stat(KEY).storage_class == "STANDARD"


def test_a_server_that_answers_501_has_no_such_class(faults: FaultServer, moto: str) -> None:
    storage = open_storage(settings_for(faults.endpoint, new_bucket(moto)))
    storage.put(KEY, b"whole")
    faults.fault = lambda method, path: "501" if method == "PUT" else None
    with pytest.raises(NoStorageClass, match="NotImplemented"):
        move(storage, "GLACIER")
    faults.fault = lambda method, path: None
    assert storage.get(KEY) == b"whole"


def test_a_gateway_without_classes_is_found_out_by_a_probe_and_nothing_is_changed(juicefs: str) -> None:
    settings = settings_for(juicefs, new_bucket(juicefs)).model_copy(update={"storage_classes": ("GLACIER",)})
    storage = open_storage(settings)
    storage.put(KEY, b"whole")
    with pytest.raises(NoStorageClass) as refused:
        try_class(storage, settings, "GLACIER")
    assert refused.value.exit_code == 2
    assert [(entry.key, entry.storage_class) for entry in storage.list()] == [(KEY, "STANDARD")]
    assert storage.get(KEY) == b"whole"


def test_a_server_with_classes_passes_the_probe_and_keeps_nothing_of_it(bucket: Storage, moto: str) -> None:
    settings = settings_for(moto, "any").model_copy(update={"storage_classes": ("GLACIER",)})
    try_class(bucket, settings, "GLACIER")
    assert list(bucket.list()) == []


def test_a_folder_moves_and_thaws_nothing(tmp_path: Path) -> None:
    folder = LocalStorage("disk", tmp_path)
    folder.put(KEY, b"whole")
    for act in (lambda: move(folder, "GLACIER"), lambda: request_thaw(folder, KEY, days=1, tier="Bulk")):
        with pytest.raises(NoStorageClass, match="is a folder"):
            act()
    assert folder.get(KEY) == b"whole"


@pytest.mark.usefixtures("slow_thaw")
def test_a_frozen_object_is_thawed_is_readable_after_a_while_and_says_until_when(bucket: Storage) -> None:
    bucket.put(KEY, b"whole")
    move(bucket, "GLACIER")
    assert ThawState.of(bucket.stat(KEY)) == ThawState(asked=False, readable=False)
    request_thaw(bucket, KEY, days=3, tier="Bulk")
    assert ThawState.of(bucket.stat(KEY)) == ThawState(asked=True, readable=False)
    states = [ThawState.of(bucket.stat(KEY)) for _ in range(4)]
    assert states[-1].readable
    until = states[-1].until
    assert until is not None
    assert abs(until - datetime.now(UTC) - timedelta(days=3)) < timedelta(days=1, minutes=5)
    assert bucket.get(KEY) == b"whole"
    request_thaw(bucket, KEY, days=5, tier="Standard")


def test_thawing_what_is_not_frozen_or_not_there_is_an_error(bucket: Storage) -> None:
    bucket.put(KEY, b"whole")
    for key in (KEY, "la_factoria/nothing"):
        with pytest.raises(StorageError):
            request_thaw(bucket, key, days=1, tier="Standard")


def test_the_header_of_a_thaw_is_read_in_all_its_forms() -> None:
    def of(header: str) -> ThawState:
        return ThawState.of(StoredObject("k", 1, "", datetime.now(UTC), "GLACIER", header))

    until = datetime(2026, 11, 30, tzinfo=UTC)
    said = 'ongoing-request="false", expiry-date="Mon, 30 Nov 2026 00:00:00 GMT"'
    assert of(said) == ThawState(asked=True, readable=True, until=until)
    assert of('ongoing-request="false"') == ThawState(asked=True, readable=True)
    assert of('ongoing-request="true"') == ThawState(asked=True, readable=False)
    assert of("") == of("nonsense") == ThawState(asked=False, readable=False)
