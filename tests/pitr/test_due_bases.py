"""Base backups come by themselves: the first, by their interval, and after a gap; never two at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.catalog.wal_samples import WalSample, add_sample
from services.installation import Installation
from services.pitr.due_bases import queue_due_bases
from services.pitr.wal_names import SegmentName
from services.settings.model import PitrSettings
from tests.pitr.conftest import SEGMENT
from tests.pitr.test_retention import add_base
from tests.support.installations import make_installation

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WELL = WalSample("la_factoria", NOW, archived_at=NOW, archived_lsn=20 * SEGMENT, current_lsn=20 * SEGMENT, lag_bytes=0)


@pytest.fixture
def inst(tmp_path: Path) -> Iterator[Installation]:
    made = make_installation(tmp_path, clock=lambda: NOW, database={"pitr": PitrSettings(enabled=True)})
    yield made
    made.close()


def reasons(inst: Installation) -> list[str]:
    return [inst.catalog.runs.get(run_id).reason for run_id in queue_due_bases(inst)]


def test_the_first_one_comes_once_the_first_segment_is_archived(inst: Installation) -> None:
    assert reasons(inst) == []
    add_sample(inst.catalog.engine, replace(WELL, at=NOW - HOUR, archived_at=None))
    assert reasons(inst) == []
    add_sample(inst.catalog.engine, WELL)
    assert reasons(inst) == ["the first base backup"]
    assert reasons(inst) == []  # that one is queued


def test_the_next_one_comes_by_the_interval(inst: Installation) -> None:
    add_sample(inst.catalog.engine, WELL)
    add_base(inst, 5, days=0.9)
    assert reasons(inst) == []
    inst.clock = lambda: NOW + 3 * HOUR
    assert reasons(inst) == ["by its interval"]


def test_after_a_gap_one_comes_at_once_and_a_gap_before_it_is_no_matter(inst: Installation) -> None:
    add_base(inst, 5, days=0.5)
    before, behind = (SegmentName(1, number).name(SEGMENT) for number in (3, 9))
    add_sample(inst.catalog.engine, replace(WELL, missing=1, first_missing=before, last_missing=before))
    assert reasons(inst) == []
    later = replace(WELL, at=NOW + HOUR / 60, missing=2, first_missing=before, last_missing=behind)
    add_sample(inst.catalog.engine, later)
    assert reasons(inst) == ["after a gap in the log"]


def test_one_that_failed_is_tried_again_after_an_hour(inst: Installation) -> None:
    add_sample(inst.catalog.engine, WELL)
    [run_id] = queue_due_bases(inst)
    inst.catalog.runs.fail_queued(run_id, now=NOW, error="pg_basebackup: connection lost", hint="")
    assert reasons(inst) == []
    inst.clock = lambda: NOW + HOUR
    assert reasons(inst) == ["the first base backup"]
