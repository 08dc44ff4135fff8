"""What of an archive is a server's own log, after a restore to a point or a failover with lag: pure arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.pitr.archive import ArchivedFile, ArchivedSegment
from services.pitr.own_log import began_at, newest_of
from services.pitr.receiver import _begin_with
from services.pitr.slots import SlotState
from services.pitr.wal_keys import WalKey
from services.pitr.wal_names import SegmentName, Switch, TimelineHistory
from services.storage.protocol import StoredObject
from tests.pitr.conftest import SEGMENT, SYSTEM

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
FORK = 0x802038
ORIGINAL = TimelineHistory(1, ())
RESTORED = TimelineHistory(2, (Switch(1, FORK),))
AGAIN = TimelineHistory(3, (Switch(1, FORK), Switch(2, 0xA00000)))


def stored(timeline: int, first: int, last: int) -> list[ArchivedSegment]:
    return [
        ArchivedSegment(SegmentName(timeline, number).name(SEGMENT), timeline, number, "", 1,
                        NOON + timedelta(minutes=number), "", False)
        for number in range(first, last + 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("segments", "history", "reach", "begin"),
    [
        ([], ORIGINAL, None, (1, 8)),
        (stored(1, 2, 11), ORIGINAL, 12 * SEGMENT, (1, 12)),
        (stored(1, 2, 11), RESTORED, FORK, (1, 8)),  # of the parent nothing after the fork
        (stored(1, 2, 7), RESTORED, 8 * SEGMENT, (1, 8)),
        (stored(1, 2, 5), RESTORED, 6 * SEGMENT, (2, 8)),  # what is before the slot cannot be had
        ([*stored(1, 2, 11), *stored(2, 8, 9)], RESTORED, 10 * SEGMENT, (2, 10)),
        ([*stored(1, 2, 11), *stored(2, 8, 12)], AGAIN, 10 * SEGMENT, (2, 10)),
        (stored(4, 2, 11), RESTORED, None, (2, 8)),  # another one's
    ],
)
def test_only_what_the_server_has_written_itself_counts(
    segments: list[ArchivedSegment], history: TimelineHistory, reach: int | None, begin: tuple[int, int]
) -> None:
    found = newest_of(segments, history, SEGMENT)
    assert (found[1] if found is not None else None) == reach
    slot = SlotState(FORK, False, SYSTEM, history.timeline, SEGMENT, 18)
    assert _begin_with(segments, slot, history) == SegmentName(*begin)


def test_a_slot_that_keeps_log_from_before_the_fork_begins_on_the_parent() -> None:
    slot = SlotState(5 * SEGMENT, False, SYSTEM, 2, SEGMENT, 18)
    assert _begin_with([], slot, RESTORED) == SegmentName(1, 5)


def test_a_restored_servers_log_waits_since_its_timeline_began_and_not_since_its_parents_last_segment() -> None:
    key = WalKey("la_factoria", SYSTEM, "00000002.history", "0" * 32, encrypted=False)
    began = NOON + timedelta(hours=9)
    files = [ArchivedFile(key, StoredObject(key.text(), 40, "", began))]
    found = newest_of(stored(1, 2, 7), RESTORED, SEGMENT)
    assert found is not None
    assert began_at(found[0], RESTORED, files) == began
    assert began_at(found[0], RESTORED, []) is None
    assert began_at(found[0], ORIGINAL, files) is None
    own = newest_of([*stored(1, 2, 7), *stored(2, 8, 9)], RESTORED, SEGMENT)
    assert own is not None
    assert began_at(own[0], RESTORED, files) is None
