"""What of an archive is a server's own log: of its timeline, and of the parents' only what came before it left them.

After a restore to a point, or a failover to a standby that was behind, the archive holds log of the parent that the
server has never had. It may have higher positions than the server's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from psycopg import pq

from services.errors import ConnectionFailed
from services.pitr.archive import ArchivedFile, ArchivedSegment
from services.pitr.server_facts import replication_conninfo
from services.pitr.wal_names import TimelineHistory, history_timeline
from services.postgres.connection import Address, connection_failed


def log_reach(segment: ArchivedSegment, history: TimelineHistory, segment_bytes: int) -> int | None:
    """Return up to which position a segment is the log of this history; None for one that is of none of it."""
    start, end = segment.number * segment_bytes, (segment.number + 1) * segment_bytes
    if segment.timeline == history.timeline:
        return end
    left = history.ends().get(segment.timeline)
    return min(end, left) if left is not None and start < left else None


def newest_of(
    segments: Iterable[ArchivedSegment], history: TimelineHistory, segment_bytes: int
) -> tuple[ArchivedSegment, int] | None:
    """Return the whole segment with which the log of a history goes furthest, and its reach; None without any."""
    found = [
        (segment, reach)
        for segment in segments
        if not segment.partial and (reach := log_reach(segment, history, segment_bytes)) is not None
    ]
    return max(found, key=lambda one: (one[1], one[0].timeline, one[0].stored_at), default=None)


def began_at(
    newest: ArchivedSegment | None, history: TimelineHistory | None, files: Iterable[ArchivedFile]
) -> datetime | None:
    """Return when a server's timeline began whose own log is not archived yet, as its history was stored; else None.

    After a restore to a point the newest log that it shares with its parent may be days old; that is no delay of its
    own.
    """
    if newest is None or history is None or newest.timeline == history.timeline:
        return None
    stored = [file.stored.modified_at for file in files if history_timeline(file.key.file) == history.timeline]
    return max(stored, default=None)


def ask_history(address: Address) -> TimelineHistory:
    """Ask a server for its timeline and the parents of it, as pg_receivewal does. Raise ConnectionFailed.

    ``pg_control_checkpoint()`` still names the old timeline right after a promotion; ``IDENTIFY_SYSTEM`` does not.
    """
    connection = pq.PGconn.connect(replication_conninfo(address).encode())
    try:
        if connection.status != pq.ConnStatus.OK:
            raise connection_failed(address, connection.error_message.decode("utf-8", "replace"))
        timeline = int(_ask(connection, address, "IDENTIFY_SYSTEM", 1))
        if timeline == 1:
            return TimelineHistory(1, ())  # it has no parents, and no file
        text = _ask(connection, address, f"TIMELINE_HISTORY {timeline}", 1).decode("utf-8", "replace")
        return TimelineHistory.parse(text, timeline)
    finally:
        connection.finish()


def _ask(connection: pq.abc.PGconn, address: Address, command: str, column: int) -> bytes:
    """Return a column of the one row that a command of the replication protocol answers with."""
    result = connection.exec_(command.encode())
    value = result.get_value(0, column) if result.status == pq.ExecStatus.TUPLES_OK else None
    if value is None:
        said = result.error_message.decode("utf-8", "replace").strip().partition("\n")[0]
        raise ConnectionFailed(f"{address.label()} does not tell its timelines ({command}): {said or 'no answer'}.")
    return value
