"""S3 servers that refuse, fail, dawdle, or are not there: the right error, in time, and nothing left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from services.errors import (
    AccessDenied,
    CorruptBackup,
    NoSuchBucket,
    StorageError,
    StorageFull,
    StorageUnavailable,
)
from services.storage.open import open_storage
from services.storage.protocol import Storage
from tests.storage.conftest import new_bucket
from tests.support.s3 import (
    SECRET_KEY,
    Fault,
    FaultServer,
    free_port,
    plain_client,
    settings_for,
)

MB = 1 << 20
TIMEOUT = 3.0
KEY = "shop/a.dump"


@pytest.fixture
def storage(faults: FaultServer, moto: str) -> Storage:
    """A storage behind the troublesome server, whose silence is waited for 3 s."""
    return open_storage(settings_for(faults.endpoint, new_bucket(moto), prefix="p", timeout=TIMEOUT))


@contextmanager
def fails_as(kind: type[StorageError], *, within: float) -> Iterator[None]:
    """Assert that the block raises exactly this error in time, with a hint, and nothing of the server's words."""
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        yield
    assert time.monotonic() - began < within
    assert type(caught.value) is kind
    assert caught.value.hint
    assert SECRET_KEY not in str(caught.value)  # the server puts it into each of its messages


def only(fault: Fault, *methods: str, having: str = "") -> Callable[[str, str], Fault | None]:
    """Make this trouble for these methods, where the path has this text in it."""
    return lambda method, path: fault if method in methods and having in path else None


def nothing_is_left(storage: Storage, moto: str) -> bool:
    bucket = storage.url.removeprefix("s3://").partition("/")[0]
    client = plain_client(moto)
    objects = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return not objects and not uploads


def write_25_mb(storage: Storage) -> None:
    """Write as a use case does: commit at the end, abort when anything fails."""
    writer = storage.writer(KEY, expected_bytes=25 * MB)
    try:
        for _ in range(25):
            writer.write(os.urandom(MB))
        writer.commit()
    except BaseException:
        writer.abort()
        raise


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("500", StorageUnavailable),
        ("503", StorageUnavailable),
        ("403", AccessDenied),
        ("507", StorageFull),
        ("no bucket", NoSuchBucket),
    ],
)
def test_every_call_says_what_the_server_refused(
    storage: Storage, faults: FaultServer, fault: Fault, kind: type[StorageError]
) -> None:
    faults.fault = only(fault, "GET", "PUT", "POST", "DELETE")
    for call in (
        lambda: storage.put(KEY, b"x"),
        lambda: storage.get(KEY),
        lambda: list(storage.list()),
        lambda: storage.delete(KEY),
        storage.unfinished,
        storage.probe,
    ):
        with fails_as(kind, within=3 * TIMEOUT):
            call()


@pytest.mark.parametrize(("fault", "kind"), [("500", StorageUnavailable), ("403", AccessDenied), ("507", StorageFull)])
@pytest.mark.parametrize("where", ["uploads", "partNumber=2", "uploadId"])
def test_an_upload_that_is_refused_half_way_leaves_nothing(
    storage: Storage, faults: FaultServer, moto: str, fault: Fault, kind: type[StorageError], where: str
) -> None:
    # "uploads" is the beginning, "partNumber=2" the second part, POST with "uploadId" the completion
    faults.fault = only(fault, "PUT" if where == "partNumber=2" else "POST", having=where)
    with fails_as(kind, within=3 * TIMEOUT):
        write_25_mb(storage)
    assert nothing_is_left(storage, moto)


def test_one_bad_answer_is_tried_again(storage: Storage, faults: FaultServer) -> None:
    troubles: list[str] = []

    def once(method: str, path: str) -> Fault | None:
        if "partNumber=2" in path and not troubles:
            troubles.append(path)
            return "500"
        return None

    faults.fault = once
    write_25_mb(storage)
    assert troubles
    assert storage.stat(KEY).bytes == 25 * MB


def test_a_slow_server_is_waited_for(storage: Storage, faults: FaultServer) -> None:
    faults.fault = lambda method, path: "slow"
    write_25_mb(storage)
    assert storage.stat(KEY).bytes == 25 * MB


def test_a_server_that_never_answers_is_given_up_within_the_limit(storage: Storage, faults: FaultServer) -> None:
    faults.fault = lambda method, path: "silent"
    for call in (lambda: storage.stat(KEY), lambda: storage.get(KEY), lambda: list(storage.list())):
        with fails_as(StorageUnavailable, within=TIMEOUT + 4):
            call()


def test_a_server_that_falls_silent_in_the_middle_of_an_upload_ends_it(
    storage: Storage, faults: FaultServer, moto: str
) -> None:
    faults.fault = only("silent", "PUT", having="partNumber")
    with fails_as(StorageUnavailable, within=2 * TIMEOUT + 6):
        write_25_mb(storage)
    assert nothing_is_left(storage, moto)


def test_nobody_listening_is_said_at_once() -> None:
    storage = open_storage(settings_for(f"http://127.0.0.1:{free_port()}", "bucket", timeout=TIMEOUT))
    with fails_as(StorageUnavailable, within=TIMEOUT + 4):
        storage.writer(KEY)


@pytest.mark.parametrize("server", ["moto", "juicefs"])
def test_a_missing_bucket_is_said(server: str, request: pytest.FixtureRequest) -> None:
    storage = open_storage(settings_for(request.getfixturevalue(server), "no-such-bucket", timeout=TIMEOUT))
    for call in (
        lambda: storage.put(KEY, b"x"),
        lambda: storage.stat(KEY),
        lambda: storage.get(KEY),
        lambda: list(storage.list()),
        storage.probe,
        lambda: write_25_mb(storage),
    ):
        with fails_as(NoSuchBucket, within=TIMEOUT):
            call()


def test_a_wrong_key_is_refused_by_a_real_server(juicefs: str) -> None:
    right = settings_for(juicefs, new_bucket(juicefs), timeout=TIMEOUT)
    for wrong in ({"secret_access_key": SECRET_KEY + "x"}, {"access_key_id": "NOBODY"}):
        storage = open_storage(type(right).model_validate({**right.model_dump(), **wrong}))
        with fails_as(AccessDenied, within=TIMEOUT):
            storage.put(KEY, b"x")


def test_no_credentials_at_all_are_said(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    without = settings_for(moto, "bucket").model_copy(update={"access_key_id": None, "secret_access_key": None})
    with fails_as(AccessDenied, within=TIMEOUT):
        open_storage(without).put(KEY, b"x")


def test_a_broken_download_goes_on_where_it_broke(storage: Storage, faults: FaultServer) -> None:
    data = os.urandom(3 * MB)
    storage.put(KEY, data)
    faults.cut_after = MB
    faults.requests.clear()
    assert storage.get(KEY) == data
    assert len([method for method, _ in faults.requests if method == "GET"]) == 3


def test_a_download_that_breaks_again_and_again_is_given_up(storage: Storage, faults: FaultServer) -> None:
    storage.put(KEY, os.urandom(MB))
    faults.cut_after = 0
    with fails_as(StorageUnavailable, within=3 * TIMEOUT):
        storage.get(KEY)


def test_an_object_that_is_replaced_while_it_is_read_is_noticed(storage: Storage, faults: FaultServer) -> None:
    storage.put(KEY, os.urandom(3 * MB))
    faults.cut_after = MB
    reader = storage.reader(KEY)
    assert len(reader.read(MB)) == MB
    storage.put(KEY, os.urandom(3 * MB))
    with pytest.raises(StorageError, match="has another"):
        reader.read(-1)
    reader.close()


@pytest.mark.parametrize("size", [MB, 25 * MB])
def test_etags_that_are_no_md5_make_it_read_back(storage: Storage, faults: FaultServer, size: int) -> None:
    faults.etag = '"not-an-md5"'
    writer = storage.writer(KEY)
    writer.write(os.urandom(size))
    faults.requests.clear()
    assert writer.commit().bytes == size
    assert [path for method, path in faults.requests if method == "GET" and "uploads" not in path]


@pytest.mark.parametrize("size", [MB, 25 * MB])
def test_other_bytes_than_were_sent_are_noticed_and_deleted(
    storage: Storage, faults: FaultServer, moto: str, size: int
) -> None:
    writer = storage.writer(KEY)
    writer.write(os.urandom(size))
    bucket = storage.url.removeprefix("s3://").partition("/")[0]

    def swap_before_the_look(method: str, path: str) -> Fault | None:
        stored = [found["Key"] for found in plain_client(moto).list_objects_v2(Bucket=bucket).get("Contents", [])]
        if method == "HEAD" and stored:
            plain_client(moto).put_object(Bucket=bucket, Key=stored[0], Body=os.urandom(size))
        return None

    faults.fault = swap_before_the_look
    with pytest.raises(CorruptBackup, match="other bytes"):
        writer.commit()
    writer.abort()
    assert nothing_is_left(storage, moto)


def test_a_lost_answer_to_the_completion_does_not_lose_the_object(
    storage: Storage, faults: FaultServer, moto: str
) -> None:
    """The server did complete, but each answer said 500: the object is there, and is compared."""
    writer = storage.writer(KEY, expected_bytes=25 * MB)
    data = os.urandom(25 * MB)
    writer.write(data)
    bucket = storage.url.removeprefix("s3://").partition("/")[0]

    def complete_but_say_500(method: str, path: str) -> Fault | None:
        if method == "POST" and "uploadId" in path:
            plain_client(moto).put_object(Bucket=bucket, Key=f"p/{KEY}", Body=data)
            return "500"
        return None

    faults.fault = complete_but_say_500
    assert writer.commit().bytes == 25 * MB
    assert storage.get(KEY) == data
