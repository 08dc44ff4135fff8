"""What every storage does alike: a local folder, JuiceFS's gateway and moto's S3 server."""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from services.errors import AlreadyExists, InvalidName, ObjectMissing, StorageError
from services.storage.protocol import Storage, StoredObject

MB = 1 << 20


def store(storage: Storage, key: str, data: bytes, *, expected_bytes: int | None = None) -> StoredObject:
    writer = storage.writer(key, expected_bytes=expected_bytes)
    for at in range(0, len(data), MB // 2):
        writer.write(data[at : at + MB // 2])
    return writer.commit()


def read_all(storage: Storage, key: str) -> bytes:
    reader = storage.reader(key)
    try:
        return b"".join(iter(lambda: reader.read(MB), b""))
    finally:
        reader.close()


@pytest.mark.parametrize("size", [0, 1, 8 * MB, 8 * MB + 1, 21 * MB])
def test_what_is_written_is_read_back(storage: Storage, size: int) -> None:
    data = os.urandom(size)
    stored = store(storage, "shop/shop_backup.dump.zst.age", data)
    assert (stored.key, stored.bytes) == ("shop/shop_backup.dump.zst.age", size)
    assert abs(stored.modified_at - datetime.now(UTC)) < timedelta(minutes=2)
    assert hashlib.sha256(read_all(storage, stored.key)).digest() == hashlib.sha256(data).digest()
    assert storage.stat(stored.key).etag == stored.etag != ""
    assert '"' not in stored.etag
    assert storage.unfinished() == []


def test_nothing_is_visible_before_commit(storage: Storage) -> None:
    writer = storage.writer("shop/a.dump")
    writer.write(os.urandom(20 * MB))
    assert list(storage.list()) == []
    with pytest.raises(ObjectMissing):
        storage.stat("shop/a.dump")
    writer.commit()
    assert [found.key for found in storage.list()] == ["shop/a.dump"]


def test_an_aborted_writer_leaves_nothing(storage: Storage) -> None:
    writer = storage.writer("shop/a.dump", expected_bytes=20 * MB)
    writer.write(os.urandom(20 * MB))
    writer.abort()
    writer.abort()
    assert list(storage.list()) == []
    assert storage.unfinished() == []
    with pytest.raises(StorageError):
        writer.write(b"more")
    with pytest.raises(StorageError):
        writer.commit()


def test_abort_after_commit_leaves_the_object(storage: Storage) -> None:
    writer = storage.writer("shop/a.dump")
    writer.write(b"whole")
    writer.commit()
    writer.abort()
    assert storage.get("shop/a.dump") == b"whole"


def test_an_unfinished_upload_is_listed_and_can_be_removed(storage: Storage) -> None:
    writer = storage.writer("shop/a.dump")
    writer.write(os.urandom(40 * MB))  # what a killed process leaves: neither finished nor aborted
    [unfinished] = storage.unfinished()
    assert unfinished.key == "shop/a.dump"
    if unfinished.started_at.year != 2010:  # moto says of every upload that it began in 2010
        assert abs(unfinished.started_at - datetime.now(UTC)) < timedelta(minutes=2)
    storage.abort_unfinished(unfinished)
    assert storage.unfinished() == []
    storage.abort_unfinished(unfinished)  # gone already: no error
    writer.abort()
    assert list(storage.list()) == []


def test_a_writer_never_overwrites(storage: Storage) -> None:
    storage.put("shop/a.dump", b"first")
    with pytest.raises(AlreadyExists):
        storage.writer("shop/a.dump")
    assert storage.get("shop/a.dump") == b"first"


def test_of_two_writers_of_one_key_the_second_to_commit_is_refused(storage: Storage) -> None:
    first, second = storage.writer("shop/a.dump"), storage.writer("shop/a.dump")
    first.write(b"first")
    second.write(b"second")
    first.commit()
    with pytest.raises(AlreadyExists):
        second.commit()
    second.abort()
    assert storage.get("shop/a.dump") == b"first"
    assert storage.unfinished() == []


def test_put_replaces(storage: Storage) -> None:
    storage.put("shop/a.manifest.json", b"one")
    stored = storage.put("shop/a.manifest.json", b"three")
    assert storage.get("shop/a.manifest.json") == b"three"
    assert storage.stat("shop/a.manifest.json") == stored


def test_listing_is_in_key_order_and_keeps_to_the_prefix(storage: Storage) -> None:
    for key in ("b/2.dump", "a/1.dump", "b/10.dump", "ab/1.dump", "b/1.manifest.json"):
        storage.put(key, key.encode())
    assert [found.key for found in storage.list()] == [
        "a/1.dump",
        "ab/1.dump",
        "b/1.manifest.json",
        "b/10.dump",
        "b/2.dump",
    ]
    assert [found.key for found in storage.list("a")] == ["a/1.dump", "ab/1.dump"]
    assert [found.key for found in storage.list("b/1")] == ["b/1.manifest.json", "b/10.dump"]
    assert list(storage.list("c/")) == []
    assert {found.bytes for found in storage.list("a/")} == {8}


def test_delete_removes_and_does_not_mind_what_is_not_there(storage: Storage) -> None:
    storage.put("shop/a.dump", b"x")
    storage.delete("shop/a.dump")
    storage.delete("shop/a.dump")
    for missing in (storage.stat, storage.get, storage.reader):
        with pytest.raises(ObjectMissing):
            missing("shop/a.dump")


def test_a_key_that_leads_elsewhere_is_refused(storage: Storage) -> None:
    elsewhere = ["/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\\b"]
    for key in [*elsewhere, "", "a\0b", "a\nb", "\ud800", "x" * 201, "a/" * 500 + "b"]:
        for use in (storage.writer, storage.reader, storage.get, storage.stat, storage.delete):
            with pytest.raises(InvalidName):
                use(key)
        with pytest.raises(InvalidName):
            storage.put(key, b"x")
    for prefix in ("../", "/", "a\0"):
        with pytest.raises(InvalidName):
            list(storage.list(prefix))


def test_keys_may_hold_what_people_write(storage: Storage) -> None:
    for key in ("shop/Sicherung für März.dump", "shop/a+b=c&d%20?#.dump", "shop/.hidden"):
        storage.put(key, key.encode())
        assert storage.get(key) == key.encode()
        assert key in [found.key for found in storage.list("shop/")]


def test_the_probe_writes_reads_deletes_and_finds_no_skew(storage: Storage) -> None:
    probe = storage.probe()
    assert abs(probe.clock_skew) <= timedelta(seconds=2)
    assert 0 < probe.seconds < 20
    assert list(storage.list()) == []


def test_abort_from_another_thread_ends_a_writer_at_work(storage: Storage) -> None:
    writer = storage.writer("shop/a.dump")
    ended: list[BaseException] = []

    def write_for_ever() -> None:
        try:
            while True:
                writer.write(os.urandom(MB))
        except StorageError as error:
            ended.append(error)

    thread = threading.Thread(target=write_for_ever)
    thread.start()
    threading.Event().wait(0.3)
    writer.abort()
    thread.join(10)
    assert not thread.is_alive()
    assert len(ended) == 1
    assert storage.unfinished() == []
    assert list(storage.list()) == []


def test_a_location_can_be_read_by_a_person(storage: Storage) -> None:
    assert storage.location("shop/a.dump") == f"{storage.url}/shop/a.dump"
