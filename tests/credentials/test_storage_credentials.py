"""Two credentials of a storage, against moto's server with its IAM switched on: what must be refused is."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import settings as moto_settings
from pydantic import SecretStr

from services.credentials.keys import check_secret_key
from services.credentials.storage import check_credentials, check_lock
from services.errors import AccessDenied
from services.settings.model import DatabaseSettings, StorageSettings
from services.storage.local import LocalStorage
from services.storage.s3 import S3Storage
from tests.support.installations import make_settings
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, moto_server, plain_client, settings_for

DOCS = Path(__file__).resolve().parents[2] / "docs" / "credentials.md"
Keys = tuple[str, str]
ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(moto: str) -> str:
    name = f"bucket-{secrets.token_hex(6)}"
    plain_client(moto).create_bucket(Bucket=name)
    return name


def policies() -> dict[str, str]:
    """Return the policies of the docs by the heading above each: they are what is tried."""
    text = DOCS.read_text()
    found = re.findall(r"#### ([^\n]+)\n.*?```json\n(.*?)```", text, re.DOTALL)
    return dict(found)


def user(endpoint: str, policy: str) -> Keys:
    """Make a user with a policy, and return its access key."""
    iam = boto3.client(
        "iam", endpoint_url=endpoint, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
    )  # fmt: skip
    name = f"user-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def with_keys(endpoint: str, bucket: str, writer: Keys, deleter: Keys | None) -> StorageSettings:
    changes: dict[str, Any] = {"access_key_id": writer[0], "secret_access_key": SecretStr(writer[1])}
    if deleter is not None:
        changes |= {"delete_access_key_id": deleter[0], "delete_secret_access_key": SecretStr(deleter[1])}
    return settings_for(endpoint, bucket, prefix="prod").model_copy(update=changes)


def told(settings: StorageSettings) -> list[tuple[str, str]]:
    return [(result, message) for result, message, _ in check_credentials(settings, S3Storage(settings))]


def test_the_policies_of_the_docs_let_each_credential_do_its_part_and_no_more(
    moto: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {name: json.dumps(json.loads(text.replace("BUCKET", bucket))) for name, text in policies().items()}
    writer, deleter = (user(moto, named[name]) for name in ("The worker that backs up", "Deletions"))
    everything = user(moto, json.dumps(ALLOWED))
    monkeypatch.setattr(moto_settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)  # from now on IAM is asked
    good = with_keys(moto, bucket, writer, deleter)
    assert told(good) == [("ok", "The credential that writes cannot delete, the one that deletes cannot write.")]
    storage = S3Storage(good)
    storage.put("la_factoria/b.manifest.json", b"{}")
    assert storage.get("la_factoria/b.manifest.json") == b"{}"
    with pytest.raises(AccessDenied):
        S3Storage(with_keys(moto, bucket, writer, None)).delete("la_factoria/b.manifest.json")
    storage.delete("la_factoria/b.manifest.json")
    assert [entry.key for entry in storage.list()] == []
    assert storage.probe().seconds > 0
    loose = told(with_keys(moto, bucket, everything, everything))
    assert [result for result, _ in loose] == ["warning", "warning", "warning"][: len(loose)]
    assert "may delete as well" in loose[0][1]
    powerless = told(with_keys(moto, bucket, everything, writer))
    assert any(result == "failed" and "cannot" in message for result, message in powerless)


def test_one_credential_for_everything_is_warned_of_unless_backups_are_locked(moto: str, bucket: str) -> None:
    one = with_keys(moto, bucket, (ACCESS_KEY, SECRET_KEY), None)
    ((result, message),) = told(one)
    assert (result, "can delete every backup" in message) == ("warning", True)
    assert told(one.model_copy(update={"object_lock": "governance"}))[0][0] == "ok"


@pytest.mark.parametrize(
    ("bucket_locks", "setting", "results"),
    [(True, "governance", ["ok"]), (False, "governance", ["failed"]), (True, None, ["warning", "warning"]),
     (False, None, ["warning"]), (False, "none", [])],
)  # fmt: skip
def test_whether_a_bucket_locks_is_asked_of_it(
    moto: str, bucket_locks: bool, setting: str | None, results: list[str]
) -> None:
    name = f"bucket-{secrets.token_hex(6)}"
    plain_client(moto).create_bucket(Bucket=name, ObjectLockEnabledForBucket=bucket_locks)
    settings = settings_for(moto, name).model_copy(update={"object_lock": setting})
    found = [result for result, _, _ in check_lock(settings, S3Storage(settings))]
    assert found == results


def test_a_bucket_that_keeps_versions_without_a_rule_is_warned_of(moto: str, bucket: str) -> None:
    client, settings = plain_client(moto), settings_for(moto, bucket, prefix="prod")
    settings = settings.model_copy(update={"object_lock": "none"})
    assert list(check_lock(settings, S3Storage(settings))) == []
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ((result, message, _),) = check_lock(settings, S3Storage(settings))
    assert (result, "older version" in message) == ("warning", True)
    for prefix, told_of in (("other/", "warning"), ("", "ok"), ("prod/", "ok")):
        rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": prefix},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 3}}  # fmt: skip
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
        ((result, message, _),) = check_lock(settings, S3Storage(settings))
        assert (result, "after 3 d" in message) == (told_of, told_of == "ok"), prefix


def test_a_folder_locks_nothing(tmp_path: Path) -> None:
    settings = StorageSettings(name="f", url=f"file://{tmp_path}")
    place = LocalStorage("f", tmp_path)
    assert [result for result, _, _ in check_lock(settings, place)] == ["warning"]
    assert list(check_lock(settings.model_copy(update={"object_lock": "none"}), place)) == []
    assert list(check_credentials(settings, place)) == []


def test_a_secret_key_that_nothing_on_this_machine_needs_is_named(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    ((result, message, _),) = check_secret_key(settings)
    assert (result, "nothing scheduled reads a backup" in message) == ("warning", True)
    change: Callable[..., Any] = settings.model_copy
    assert list(check_secret_key(change(update={"encryption_key": None}))) == []
    testing = DatabaseSettings(name="d", url=settings.databases[0].url)
    assert list(check_secret_key(change(update={"databases": (testing,)}))) == []
