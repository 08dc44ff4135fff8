"""How large objects are cut into parts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import StorageError
from services.storage import s3_writer
from services.storage.open import open_storage
from services.storage.s3 import S3Storage
from services.storage.s3_parts import MAX_PARTS, MB, MIN_PART, PartPlan, plan_parts
from tests.storage.conftest import new_bucket
from tests.support.s3 import plain_client, settings_for

GB = 10**9


@given(st.one_of(st.none(), st.integers(0, 5 * 10**12)))
def test_every_expected_size_fits_twice_into_its_parts(expected: int | None) -> None:
    plan = plan_parts(expected)
    assert plan.part_bytes % MB == 0
    assert plan.part_bytes >= MIN_PART
    assert 1 <= plan.parallel <= 4
    assert plan.max_object_bytes >= 2 * (expected or 0)


@given(st.integers(0, 33 * GB))
def test_an_estimate_may_be_ten_times_too_small(expected: int) -> None:
    assert plan_parts(expected).max_object_bytes >= 10 * expected


@given(st.integers(0, 165 * GB))
def test_parts_in_memory_take_at_most_64_mb(expected: int) -> None:
    plan = plan_parts(expected)
    assert (plan.parallel + 1) * plan.part_bytes <= 64 * MB


def test_all_parts_but_the_last_are_equal(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """R2 refuses a completion otherwise."""
    storage = open_storage(settings_for(moto, new_bucket(moto)))
    assert isinstance(storage, S3Storage)
    writer = storage.writer("a.dump", expected_bytes=30 * MB)
    sizes: list[int] = []
    real = storage.client.upload_part

    def watched(**arguments: Any) -> Any:
        sizes.append(arguments["ContentLength"])
        return real(**arguments)

    monkeypatch.setattr(storage.client, "upload_part", watched)
    for size in (1, 7 * MB, 5 * MB + 3, 12 * MB, 999):
        writer.write(bytes(size))
    stored = writer.commit()
    assert sorted(sizes, reverse=True) == [8 * MB, 8 * MB, 8 * MB, 1 + 3 + 999]
    assert stored.bytes == sum(sizes)


def test_more_than_the_last_part_number_is_refused_and_aborted(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_writer, "MAX_PARTS", 3)
    monkeypatch.setattr(s3_writer, "plan_parts", lambda expected: PartPlan(5 * MB, 2))
    bucket = new_bucket(moto)
    writer = open_storage(settings_for(moto, bucket)).writer("a.dump")
    with pytest.raises(StorageError, match="is larger than") as caught:
        writer.write(bytes(21 * MB))
    writer.abort()
    assert "expected size" in caught.value.hint
    assert "Uploads" not in plain_client(moto).list_multipart_uploads(Bucket=bucket)
    assert MAX_PARTS == 10_000
