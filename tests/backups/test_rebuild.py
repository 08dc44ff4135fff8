"""Rebuilding the catalogue: nothing that is known is lost, nothing odd stops it, nothing forged changes it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.backups.manifest import to_document, write_manifest
from services.backups.naming import manifest_key
from services.backups.rebuild import rebuild
from services.backups.signing import sign_document
from services.catalog.model import Backup, Copy, CopyState, Outcome, Verification
from services.errors import AccessDenied, StorageUnavailable
from services.installation import Installation, open_configured
from services.settings.model import Settings, StorageSettings
from services.verification.record import record_key
from services.verification.record import to_document as record_document
from tests.catalog.rows import make_verification
from tests.support.installations import make_settings

# A manifest's times have milliseconds, and so has this: what is read back can be compared as it is.
AT = datetime(2026, 11, 22, 2, 0, 11, 123000, tzinfo=UTC)
CONTENT = b"stored bytes"


on_both_engines = pytest.mark.parametrize("settings", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Two storages, and a catalogue on SQLite unless the test says otherwise."""
    names = ("primary", "second")
    storages = tuple(StorageSettings(name=name, url=f"file://{tmp_path / name}") for name in names)
    changes: dict[str, Any] = {"storages": storages}
    if getattr(request, "param", "sqlite") == "postgresql":
        server, database = request.getfixturevalue("server18"), request.getfixturevalue("database")
        changes["catalog_url"] = database(server).url()
    return make_settings(tmp_path, **changes)


@pytest.fixture
def installation(settings: Settings) -> Iterator[Installation]:
    opened = open_configured(settings)
    yield opened
    opened.close()


@pytest.fixture
def emptied(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Installation]]:
    """Return a function that opens the same storages with an empty catalogue, as after the loss of the first."""
    opened: list[Installation] = []

    def empty(**changes: Any) -> Installation:
        url = SecretStr(f"sqlite:///{tmp_path / f'empty-{len(opened)}.db'}")
        opened.append(open_configured(settings.model_copy(update={"catalog_url": url} | changes)))
        return opened[-1]

    yield empty
    for one in opened:
        one.close()


def describe(inst: Installation, name: str, storage: str = "primary", **changes: Any) -> Backup:
    key = f"la_factoria/{name}.dump.zst.age"
    location = inst.storage(storage).location(key)
    copy = Copy(storage, key, location, "STANDARD", "stored", len(CONTENT), "", None)
    digest = hashlib.sha256(CONTENT).hexdigest()
    backup = Backup(
        id=f"id-{name}", run_id="run-1", name=name, database="la_factoria", type="on-demand", state="finished",
        started_at=AT, finished_at=AT + timedelta(seconds=20), snapshot_at=AT, database_bytes=100, plain_bytes=50,
        stored_bytes=len(CONTENT), sha256=digest, plain_sha256="1" * 64, format="custom", compression="zstd",
        compression_level=3, encryption="age", recipients=("age1x",), server_version="18.1", client_version="18.1",
        excluded=(), pinned=False, note="", actor="ada", trust="signed", copies=(copy,),
    )  # fmt: skip
    return replace(backup, **changes)


def store(inst: Installation, name: str = "b1", storage: str = "primary", *, settings: Settings | None = None,
          list_it: bool = False, **changes: Any) -> Backup:  # fmt: skip
    """Put a backup's object and manifest into a storage, and into the catalogue where ``list_it``."""
    place = inst.storage(storage)
    backup = describe(inst, name, storage, **changes)
    etag = place.put(backup.copies[0].key, CONTENT).etag
    backup = replace(backup, copies=(replace(backup.copies[0], etag=etag),))
    write_manifest(settings or inst.settings, place, to_document(backup, None))
    if list_it:
        inst.catalog.backups.add(backup)
    return backup


def check(inst: Installation, backup: Backup, level: str, outcome: Outcome, minutes: int, *, store_record: bool = True,
          copy_state: CopyState | None = None) -> Verification:  # fmt: skip
    """Add a verification, as ``record_verification`` does, where the storage may not take its record."""
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    detail = {"copy_state": copy_state} if copy_state else {}
    found = make_verification(backup, level, outcome, at=at, detail=detail)
    if store_record:
        document = sign_document(inst.settings, record_document(backup, found))
        inst.storage("primary").put(record_key(backup, found), json.dumps(document).encode())
    inst.catalog.verifications.add(found)
    if copy_state:
        inst.catalog.backups.set_copy_state(backup.id, "primary", copy_state, checked_at=at)
    return found


def rows(inst: Installation) -> tuple[list[Backup], list[Verification]]:
    return inst.catalog.backups.list(), inst.catalog.verifications.list()


@on_both_engines
def test_a_condemned_backup_stays_condemned_though_its_record_could_not_be_stored(installation: Installation) -> None:
    backup = store(installation, list_it=True)
    check(installation, backup, "restore", "passed", 1)
    check(installation, backup, "checksum", "failed", 2, store_record=False, copy_state="damaged")
    before = rows(installation)
    assert (before[0][0].verification_passed, before[0][0].proven_at) == (False, None)
    report = rebuild(installation)
    assert (report.backups, report.unreadable, report.untrusted, report.incomplete) == (1, [], [], [])
    assert rows(installation) == before
    assert installation.catalog.backups.latest_good("la_factoria") is None


@on_both_engines
def test_a_rebuild_over_a_live_catalogue_changes_nothing(installation: Installation) -> None:
    precise = AT + timedelta(microseconds=456)  # which the manifest does not hold
    proven = store(installation, "proven", list_it=True, finished_at=precise)
    check(installation, proven, "checksum", "passed", 1, copy_state="stored")
    check(installation, proven, "restore", "passed", 2)
    installation.catalog.backups.add(replace(installation.catalog.backups.get(proven.id), pinned=True))
    store(installation, "unchecked", list_it=True)
    expired = store(installation, "expired", list_it=True)
    installation.storage("primary").delete(expired.copies[0].key)
    gone = replace(expired.copies[0], state="deleted")
    installation.catalog.backups.add(replace(expired, state="expired", expired_at=AT, copies=(gone,)))
    before = rows(installation)
    for _ in range(2):
        report = rebuild(installation)
        assert (report.backups, report.verifications) == (3, 2)
        assert (report.unreadable, report.untrusted, report.incomplete) == ([], [], [])
        assert rows(installation) == before


@on_both_engines
def test_a_rebuild_into_an_empty_catalogue_gives_the_same_inventory_and_proofs(
    installation: Installation, emptied: Callable[..., Installation]
) -> None:
    proven, damaged = store(installation, "proven", list_it=True), store(installation, "damaged", list_it=True)
    check(installation, proven, "restore", "passed", 1)
    check(installation, damaged, "restore", "passed", 1)
    check(installation, damaged, "checksum", "failed", 2, copy_state="damaged")
    check(installation, damaged, "stored", "passed", 3)
    new = emptied()
    report = rebuild(new)
    assert (report.backups, report.verifications, report.unreadable) == (2, 4, [])
    assert rows(new) == rows(installation)
    assert new.catalog.backups.get("id-damaged").copies[0].state == "damaged"
    assert new.catalog.backups.latest_proven("la_factoria") == installation.catalog.backups.get("id-proven")


def test_an_object_that_was_stored_anew_after_the_check_is_not_called_damaged(installation: Installation) -> None:
    backup = store(installation, list_it=True)
    check(installation, backup, "checksum", "failed", -10, copy_state="damaged")
    assert rebuild(installation).unreadable == []
    (after,) = installation.catalog.backups.list()
    assert after.copies[0].state == "stored"
    assert after.verification_passed is False  # until a check passes


def test_an_object_that_is_missing_or_of_another_size_is_said(installation: Installation) -> None:
    for name in ("gone", "cut"):
        store(installation, name, list_it=True)
    installation.storage("primary").delete("la_factoria/gone.dump.zst.age")
    installation.storage("primary").put("la_factoria/cut.dump.zst.age", CONTENT[:-1])
    report = rebuild(installation)
    assert len(report.incomplete) == 2
    assert {b.name: b.copies[0].state for b in installation.catalog.backups.list()} == {
        "gone": "missing",
        "cut": "damaged",
    }


def test_an_expired_backup_whose_object_is_there_again_is_listed_again(installation: Installation) -> None:
    backup = store(installation, list_it=True)
    gone = replace(backup.copies[0], state="deleted")
    installation.catalog.backups.add(replace(backup, state="expired", expired_at=AT, copies=(gone,)))
    rebuild(installation)
    (after,) = installation.catalog.backups.list()
    assert (after.state, after.expired_at, after.copies[0].state) == ("finished", None, "stored")


def _changed(inst: Installation, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Store a manifest that says something odd."""
    document = to_document(describe(inst, name), None)
    change(document)
    inst.storage("primary").put(manifest_key("la_factoria", name), json.dumps(document).encode())


ODD: dict[str, Callable[[dict[str, Any]], Any]] = {
    "id too long": lambda d: d.update(id="x" * 41),
    "id empty": lambda d: d.update(id=""),
    "note with a NUL": lambda d: d.update(note="a\0b"),
    "actor with half a character": lambda d: d.update(actor="\ud800"),
    "actor too long": lambda d: d.update(actor="x" * 201),
    "type unknown": lambda d: d.update(type="weekly"),
    "name of another": lambda d: d.update(name="other"),
    "database with a slash": lambda d: d.update(database="a/b"),
    "bytes huge": lambda d: d["object"].update(bytes=2**63),
    "bytes negative": lambda d: d["plain"].update(bytes=-1),
    "bytes a text": lambda d: d["source"].update(database_bytes="100"),
    "hash cut": lambda d: d["object"].update(sha256="0" * 63),
    "hash of other characters": lambda d: d["plain"].update(sha256="x" * 64),
    "object of another": lambda d: d["object"].update(key="la_factoria/good.dump.zst.age"),
    "object above": lambda d: d["object"].update(key="../x"),
    "level huge": lambda d: d["object"].update(compression_level=10**30),
    "excluded a text": lambda d: d.update(excluded="abc"),
    "pinned a text": lambda d: d.update(pinned="no"),
    "time without zone": lambda d: d["times"].update(started_at="2026-11-22T02:00:00"),
    "time before time": lambda d: d["times"].update(started_at="0001-01-01T00:00:00+14:00"),
    "server version too long": lambda d: d["source"].update(server_version="x" * 41),
    "not an object": lambda d: d.update(source=[]),
    "fingerprint odd": lambda d: d.update(fingerprint={"tables": 3}),
}


@on_both_engines
def test_one_odd_manifest_is_reported_and_never_stops_the_rest(installation: Installation) -> None:
    store(installation, "good")
    for number, change in enumerate(ODD.values()):
        _changed(installation, f"odd{number:02}", change)
    report = rebuild(installation)
    assert [b.name for b in installation.catalog.backups.list()] == ["good"]
    assert report.backups == 1
    for number, why in enumerate(ODD):
        assert [line for line in report.unreadable if f"odd{number:02}" in line], why
    assert len(report.unreadable) == len(ODD)


def test_keys_that_are_none_and_objects_that_are_refused_are_reported(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(installation, "good")
    store(installation, "secret")
    storage = installation.storage("primary")
    get, listed = storage.get, list(storage.list())

    def refusing(key: str) -> bytes:
        if key == manifest_key("la_factoria", "secret"):
            raise AccessDenied("403", hint="Allow s3:GetObject.")
        return get(key)

    odd = [replace(listed[0], key=key) for key in ("a//b.manifest.json", "/x.manifest.json", "a/../b.manifest.json")]
    monkeypatch.setattr(storage, "get", refusing)
    monkeypatch.setattr(storage, "list", lambda prefix="": iter([*odd, *listed]))
    report = rebuild(installation)
    assert [b.name for b in installation.catalog.backups.list()] == ["good"]
    assert len(report.unreadable) == 4
    assert any("403" in line and "secret" in line for line in report.unreadable)


def test_a_storage_that_goes_away_is_left_and_the_others_are_read(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        store(installation, f"b{number}")
    store(installation, "elsewhere", "second")
    asked = []

    def away(key: str) -> bytes:
        asked.append(key)
        raise StorageUnavailable("No answer.")

    monkeypatch.setattr(installation.storage("primary"), "get", away)
    report = rebuild(installation)
    assert [b.name for b in installation.catalog.backups.list()] == ["elsewhere"]
    assert len(asked) == 3
    assert "gone away" in report.unreadable[-1]


def test_a_manifest_in_another_place_than_its_own_is_not_used(installation: Installation) -> None:
    store(installation, "real", list_it=True)
    before = rows(installation)
    storage = installation.storage("primary")
    data = storage.get(manifest_key("la_factoria", "real"))
    for key in ("la_factoria/copy.manifest.json", "elsewhere/real.manifest.json", "real.manifest.json"):
        storage.put(key, data)
    report = rebuild(installation)
    assert rows(installation) == before
    assert len(report.unreadable) == 3
    assert all("in another place" in line for line in report.unreadable)


@pytest.mark.parametrize(
    ("storage", "name"), [("primary", "forged"), ("primary", "aaa"), ("second", "real"), ("second", "aaa")]
)
@pytest.mark.parametrize("listed", [True, False], ids=["live", "empty"])
def test_a_forged_manifest_with_a_real_backups_id_does_not_change_the_real_one(
    installation: Installation, tmp_path: Path, storage: str, name: str, listed: bool
) -> None:
    real = store(installation, "real", list_it=listed)
    stranger = make_settings(tmp_path / "stranger")
    store(installation, name, storage, settings=stranger, id=real.id, note="forged", pinned=True, sha256="f" * 64)
    report = rebuild(installation)
    (after,) = installation.catalog.backups.list()
    assert replace(after, copies=real.copies) == real
    assert [copy.storage for copy in after.copies] == ["primary"]
    assert len(report.unreadable) == 1


def test_a_manifest_that_was_changed_in_its_place_makes_its_backup_untrusted_and_nothing_else(
    installation: Installation,
) -> None:
    real = store(installation, "real", list_it=True)
    check(installation, real, "restore", "passed", 1)
    key = manifest_key("la_factoria", "real")
    document = json.loads(installation.storage("primary").get(key))
    changed = document | {"note": "changed", "excluded": ["x"], "actor": "mallory"}
    installation.storage("primary").put(key, json.dumps(changed).encode())
    before = installation.catalog.backups.get(real.id)
    report = rebuild(installation)
    assert report.untrusted == ["real"]
    assert installation.catalog.backups.get(real.id) == replace(before, trust="untrusted")
    installation.storage("primary").put(key, json.dumps(document).encode())
    rebuild(installation)
    assert installation.catalog.backups.get(real.id) == before


def test_of_two_unsigned_manifests_with_one_id_the_one_that_was_stored_first_counts(
    installation: Installation, emptied: Callable[..., Installation]
) -> None:
    keyless = installation.settings.model_copy(update={"encryption_key": None})
    real = store(installation, "real", settings=keyless)
    forged = store(installation, "aaa", settings=keyless, id=real.id)
    place = Path(forged.copies[0].location.removeprefix("file://")).with_name("aaa.manifest.json")
    os.utime(place, (place.stat().st_mtime + 60,) * 2)
    new = emptied(encryption_key=None)
    report = rebuild(new)
    assert [b.name for b in new.catalog.backups.list()] == ["real"]
    assert len(report.unreadable) == 1


def test_two_backups_of_one_name_in_two_storages_do_not_stop_each_other(installation: Installation) -> None:
    store(installation, "same", id="one")
    store(installation, "same", "second", id="two")
    store(installation, "third", "second")
    report = rebuild(installation)
    assert sorted(b.id for b in installation.catalog.backups.list()) == ["id-third", "one"]
    assert len(report.unreadable) == 1
    assert "another backup called same" in report.unreadable[0]


def test_copies_of_one_backup_in_two_storages_become_one_backup(
    installation: Installation, emptied: Callable[..., Installation]
) -> None:
    store(installation, "twice")
    store(installation, "twice", "second")
    store(installation, "differs")
    store(installation, "differs", "second", sha256="d" * 64)
    report = rebuild(installation)
    backups = {b.name: [copy.storage for copy in b.copies] for b in installation.catalog.backups.list()}
    assert backups == {"twice": ["primary", "second"], "differs": ["primary"]}
    assert len(report.unreadable) == 1


@on_both_engines
def test_what_the_catalogue_refuses_is_reported_and_the_rest_is_kept(installation: Installation) -> None:
    # an untrusted row holds the name, so that the unique constraint refuses the believed one
    installation.catalog.backups.add(describe(installation, "taken", id="squatter", trust="untrusted"))
    store(installation, "another")
    store(installation, "taken")
    report = rebuild(installation)
    assert sorted(b.id for b in installation.catalog.backups.list()) == ["id-another", "squatter"]
    assert len(report.unreadable) == 1


@pytest.mark.parametrize("change", [{"level": "deepest"}, {"outcome": "fine"}, {"detail": 3}, {"sha256": "0" * 64},
                                    {"id": "x" * 41}, {"kind": "other"}, {"backup_id": "nobody"}])  # fmt: skip
def test_an_odd_record_of_a_check_changes_nothing(installation: Installation, change: dict[str, Any]) -> None:
    backup = store(installation, list_it=True)
    found = make_verification(backup, "restore", "passed", at=AT)
    document = sign_document(installation.settings, record_document(backup, found) | change)
    installation.storage("primary").put(record_key(backup, found), json.dumps(document).encode())
    rebuild(installation)
    assert installation.catalog.backups.list() == [backup]
    assert installation.catalog.verifications.list() == []


def test_a_record_that_somebody_else_signed_proves_nothing(installation: Installation, tmp_path: Path) -> None:
    backup = store(installation, list_it=True)
    found = make_verification(backup, "restore", "passed", at=AT)
    document = sign_document(make_settings(tmp_path / "stranger"), record_document(backup, found))
    installation.storage("primary").put(record_key(backup, found), json.dumps(document).encode())
    report = rebuild(installation)
    assert installation.catalog.backups.get(backup.id).proven_at is None
    assert len(report.unreadable) == 1


def test_a_manifest_that_was_never_signed_is_unsigned_where_a_key_has_come_since(
    settings: Settings, emptied: Callable[..., Installation]
) -> None:
    keyless = emptied(encryption_key=None)
    made = store(keyless, "made", list_it=True, trust="unsigned")
    for inst in (keyless, emptied()):
        inst.settings = settings
        report = rebuild(inst)
        assert (report.backups, report.untrusted, report.unreadable) == (1, [], [])
        assert report.unsigned == ["made"], "nobody vouches for it, which is said"
        assert inst.catalog.backups.get(made.id).trust == "unsigned"


def test_a_manifest_whose_signature_was_stripped_is_untrusted(installation: Installation) -> None:
    real = store(installation, "real", list_it=True)
    storage, key = installation.storage("primary"), manifest_key("la_factoria", "real")
    document = json.loads(storage.get(key))
    del document["signature"]
    storage.put(key, json.dumps(document).encode())
    for _ in range(2):
        assert rebuild(installation).untrusted == ["real"]
        assert installation.catalog.backups.get(real.id).trust == "untrusted", "a second look believes it no more"


def test_a_wrong_signature_that_is_stripped_afterwards_is_untrusted_still(installation: Installation) -> None:
    real = store(installation, "real", list_it=True)
    storage, key = installation.storage("primary"), manifest_key("la_factoria", "real")
    changed = json.loads(storage.get(key)) | {"note": "changed"}
    storage.put(key, json.dumps(changed).encode())
    assert rebuild(installation).untrusted == ["real"]
    storage.put(key, json.dumps({name: changed[name] for name in changed if name != "signature"}).encode())
    assert rebuild(installation).untrusted == ["real"]
    assert installation.catalog.backups.get(real.id).trust == "untrusted"


def test_a_disk_that_is_not_mounted_is_said_and_lowers_nothing(installation: Installation, tmp_path: Path) -> None:
    store(installation, "real", list_it=True)
    before = rows(installation)
    (tmp_path / "primary").rename(tmp_path / "away")
    for mount_point in (False, True):
        if mount_point:
            (tmp_path / "primary").mkdir()
        report = rebuild(installation)
        assert (report.backups, report.empty, report.is_well) == (0, ["second"], False)
        assert "storage primary: no manifest is in file://" in report.unreadable[0]
        assert "the catalogue knows a copy there" in report.unreadable[0]
        assert rows(installation) == before


def test_a_storage_that_refuses_is_said_and_lowers_nothing(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(installation, "real", list_it=True)
    before = rows(installation)

    def refuse(prefix: str = "") -> None:
        raise AccessDenied("The storage refused listing.", hint="Check the key.")

    monkeypatch.setattr(installation.storage("primary"), "list", refuse)
    report = rebuild(installation)
    assert report.unreadable == ["storage primary: The storage refused listing. Check the key."]
    assert not report.is_well
    assert rows(installation) == before


def test_a_rebuild_that_finds_nothing_at_all_is_not_well_and_one_empty_storage_beside_another_is(
    installation: Installation, emptied: Callable[..., Installation]
) -> None:
    new = emptied()
    assert (rebuild(new).empty, rebuild(new).is_well) == (["primary", "second"], False)
    store(installation, "real")
    assert (rebuild(new).empty, rebuild(new).is_well) == (["second"], True)
