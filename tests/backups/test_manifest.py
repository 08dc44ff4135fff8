"""Manifests, their signatures, and names."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.backups.manifest import Manifest, parse_manifest, to_document
from services.backups.naming import attempt_name, check_name, default_name, object_key
from services.backups.signing import check_document, public_key_text, sign_document, signing_key
from services.errors import InvalidName, UntrustedManifest
from services.postgres.fingerprint_model import Fingerprint, TableFingerprint
from services.settings.model import Settings
from services.storage.open import open_storage
from tests.catalog.rows import make_backup
from tests.support.installations import make_settings

FINGERPRINT = Fingerprint(
    server_version="18.1",
    tables=(TableFingerprint("public", 'Größe "x"', 3, "-123456789012345678901234567890", "record", 8192),),
    sequences={"public.s": "3/true"},
    objects={"views": ("public.v 123",)},
    seconds=0.5,
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


def parse(settings: Settings, document: dict[str, Any]) -> Manifest:
    storage = open_storage(settings.storages[0])
    return parse_manifest(settings, storage, json.dumps(document).encode(), where="x")


def test_a_manifest_alone_gives_back_the_backup_and_its_fingerprint(settings: Settings) -> None:
    backup = make_backup(note="“ü” 試験", excluded=("a.*",), pinned=True)
    read = parse(settings, sign_document(settings, to_document(backup, FINGERPRINT, reason="deploy")))
    at = backup.finished_at.replace(microsecond=123000)  # a manifest's times have milliseconds
    expected = replace(
        backup,
        finished_at=at,
        started_at=read.backup.started_at,
        snapshot_at=read.backup.snapshot_at,
        copies=read.backup.copies,
    )
    assert read.backup == expected
    assert read.fingerprint == FINGERPRINT
    assert read.document["reason"] == "deploy"


def every_leaf(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in every_leaf(inner, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for index, inner in enumerate(value) for leaf in every_leaf(inner, (*path, index))]
    return [path]


def test_a_change_of_any_single_value_makes_it_untrusted(settings: Settings) -> None:
    signed = sign_document(settings, to_document(make_backup(), FINGERPRINT))
    assert check_document(settings, signed) == "signed"
    leaves = every_leaf(signed)
    assert len(leaves) > 40
    for path in leaves:
        changed = json.loads(json.dumps(signed))
        inner = changed
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = "other" if inner[path[-1]] != "other" else "another"
        assert check_document(settings, changed) == "untrusted", path


def test_trust_depends_on_whose_key_signed(settings: Settings, tmp_path: Path) -> None:
    other = make_settings(tmp_path / "other")
    theirs = sign_document(other, {"a": 1})
    assert check_document(settings, theirs) == "untrusted"
    key = signing_key(other)
    assert key is not None
    trusting = settings.model_copy(update={"trusted_signers": (public_key_text(key.public_key()),)})
    assert check_document(trusting, theirs) == "signed"
    assert check_document(settings, {"a": 1}) == "untrusted"


def test_without_any_key_a_manifest_is_unsigned_but_a_changed_one_still_untrusted(settings: Settings) -> None:
    keyless = settings.model_copy(update={"encryption_key": None})
    assert sign_document(keyless, {"a": 1}) == {"a": 1}
    assert check_document(keyless, {"a": 1}) == "unsigned"
    signed = sign_document(settings, {"a": 1})
    assert check_document(keyless, signed) == "unsigned"
    assert check_document(keyless, signed | {"a": 2}) == "untrusted"


def test_a_signing_key_of_its_own_takes_the_place_of_the_derived_one(settings: Settings) -> None:
    own = settings.model_copy(update={"signing_key": SecretStr(base64.b64encode(os.urandom(32)).decode())})
    assert check_document(own, sign_document(own, {"a": 1})) == "signed"
    assert check_document(settings, sign_document(own, {"a": 1})) == "untrusted"


@pytest.mark.parametrize("signature", [None, {}, [], "x", {"algorithm": "ed25519", "public_key": 3, "value": None}])
def test_a_malformed_signature_is_untrusted_and_never_an_error(settings: Settings, signature: Any) -> None:
    assert check_document(settings, {"a": 1, "signature": signature}) == "untrusted"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{}",
        b'{"manifest_version": 1}',
        b'{"manifest_version": 99}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_untrusted_with_a_reason(settings: Settings, data: bytes) -> None:
    with pytest.raises(UntrustedManifest, match="the-place"):
        parse_manifest(settings, open_storage(settings.storages[0]), data, where="the-place")


def test_names_follow_the_runbook() -> None:
    at = datetime(2026, 11, 22, 2, 0, 11, tzinfo=UTC)
    assert default_name("la_factoria", at) == "la_factoria_backup_20261122_020011"
    assert object_key("d", "n", compression="zstd", encrypted=True) == "d/n.dump.zst.age"
    assert object_key("d", "n", compression="zstd", encrypted=False) == "d/n.dump.zst"
    assert [attempt_name("n", attempt) for attempt in (1, 2, 3)] == ["n", "n_2", "n_3"]


@pytest.mark.parametrize(
    "name",
    [
        *("", "a/b", "..", "a..b", "a'b", 'a"b', "a b", "-a", ".a", "x" * 101, "x" * 300),
        *("a\n", "é", "a\x00", "a.partial", "a.check-b"),
    ],
)
def test_a_name_against_the_rule_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match="1 to 100 letters"):
        check_name(name)
