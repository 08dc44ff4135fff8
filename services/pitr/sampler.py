"""Once a minute: how far the log of each database has come, and how much of it is in the archive."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.catalog.duties import claim_duty
from services.catalog.wal_archives import note_listing
from services.catalog.wal_samples import WalSample, add_sample, trim_samples
from services.errors import BackupsError
from services.installation import Installation
from services.pitr.archive import ArchivedSegment, WalArchive
from services.pitr.expire import first_needed
from services.pitr.gaps import Gap, needed_gaps
from services.pitr.listing import Listing, list_archive
from services.pitr.open import find_archive
from services.pitr.own_log import ask_history, began_at, newest_of
from services.pitr.server_facts import ServerFacts, ask_server
from services.pitr.wal_names import SegmentName, TimelineHistory, segment_of
from services.postgres.connection import Address
from services.settings.model import DatabaseSettings

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=55)
"""Between two samples of one database, of all workers together: a little less than the minute in which they look."""
LISTED_EVERY = timedelta(minutes=10)
"""Between two listings of a whole archive, which is what finds gaps; between them only its newest part is looked at."""
TRIM = "trim wal samples"


@dataclass
class _Seen:
    """What the last full listing of an archive found."""

    at: datetime
    history: TimelineHistory | None
    """The server's timeline and its parents; None when the server could not be asked."""
    newest: ArchivedSegment | None
    """With which the server's own log goes furthest."""
    reach: int | None
    """Up to where it goes in the archive."""
    gaps: tuple[Gap, ...]
    began_at: datetime | None
    """When the server's timeline began, while nothing of it is archived yet: since when its log waits."""

    @property
    def archived_at(self) -> datetime | None:
        """When the newest log was archived, or when the timeline began of which none is, if that was later."""
        if self.newest is None:
            return None
        return max(self.newest.stored_at, self.began_at or self.newest.stored_at)


class Sampler:
    """One worker's part: it samples what no other worker has sampled in this minute."""

    def __init__(self, installation: Installation, *, by: str) -> None:
        self._installation = installation
        self._by = by
        self._seen: dict[str, _Seen] = {}

    def look(self) -> None:
        """Sample every database with point in time on. Raise what the catalogue raises."""
        engine, now = self._installation.catalog.engine, self._installation.clock()
        for database in self._installation.settings.databases:
            if not database.pitr.enabled or database.paused:
                continue
            duty = f"wal sample {hashlib.sha256(database.name.encode()).hexdigest()[:24]}"
            if claim_duty(engine, duty, by=self._by, every=EVERY, now=now):
                add_sample(engine, self._sample(database, now))
        if claim_duty(engine, TRIM, by=self._by, every=timedelta(days=1), now=now):
            trim_samples(engine, now)

    def _sample(self, database: DatabaseSettings, now: datetime) -> WalSample:
        facts, seen, errors = None, None, []
        try:
            facts = ask_server(Address.parse(database.url.get_secret_value()))
        except BackupsError as error:
            errors.append(error.message)
        try:
            seen = self._look_at_archive(database, facts, now)
        except BackupsError as error:
            errors.append(error.message)
        archived = seen.reach if seen is not None else None
        current = facts.current_lsn if facts is not None else None
        slot = facts.slot(database.pitr.slot) if facts is not None else None
        gaps = seen.gaps if seen is not None else ()
        return WalSample(
            database=database.name,
            at=now,
            current_lsn=current,
            archived_lsn=archived,
            archived_at=seen.archived_at if seen is not None else None,
            lag_bytes=max(0, current - archived) if current is not None and archived is not None else None,
            slot_lag_bytes=slot.lag_bytes if slot is not None and database.pitr.method == "receiver" else None,
            missing=sum(gap.count for gap in gaps) if seen is not None else None,
            first_missing=gaps[0].names(1)[0] if gaps else "",
            last_missing=gaps[-1].names()[-1] if gaps else "",
            error=" ".join(errors),
        )

    def _look_at_archive(self, database: DatabaseSettings, facts: ServerFacts | None, now: datetime) -> _Seen | None:
        storage = self._installation.storage(self._installation.settings.pitr_storage_of(database).name)
        archive = find_archive(self._installation.settings, database, storage)
        if archive is None:
            return None
        seen = self._seen.get(database.name)
        if seen is None or now - seen.at >= LISTED_EVERY or seen.at > now or _has_moved(seen, facts):
            listing = list_archive(archive)
            note_listing(
                self._installation.catalog.engine, database.name, storage.name, at=now, files=len(listing.files),
                stored_bytes=listing.all_bytes, faults=listing.faults,
            )  # fmt: skip
            begins = first_needed(self._installation, database, archive.system_identifier)
            history = _history(database, listing, facts)
            newest, reach = _newest(listing.segments, history, archive.segment_bytes)
            began = began_at(newest, history, listing.files)
            if began is None and newest is not None and history is not None and newest.timeline != history.timeline:
                was = seen.began_at if seen is not None and not _has_moved(seen, facts) else None
                began = was or now  # its history comes with its first segment
            seen = _Seen(now, history, newest, reach, tuple(needed_gaps(listing.gaps, begins)), began)
            self._seen[database.name] = seen
        elif facts is not None and facts.current_lsn is not None:
            near = _near_the_end(archive, facts.timeline, facts.current_lsn)
            newest, reach = _newest(near, seen.history, archive.segment_bytes)
            if reach is not None and (seen.reach is None or reach > seen.reach):
                seen.newest, seen.reach, seen.began_at = newest, reach, None
        return seen


def _has_moved(seen: _Seen, facts: ServerFacts | None) -> bool:
    """Say whether the server is on another timeline than when the archive was listed."""
    return facts is not None and (seen.history is None or seen.history.timeline != facts.timeline)


def _history(database: DatabaseSettings, listing: Listing, facts: ServerFacts | None) -> TimelineHistory | None:
    """Return the server's timeline with its parents: from the archive, else from the server. Raise ConnectionFailed."""
    if facts is None:
        return None
    if facts.timeline == 1:
        return TimelineHistory(1, ())
    stored = listing.histories.get(facts.timeline)
    return stored if stored is not None else ask_history(Address.parse(database.url.get_secret_value()))


def _near_the_end(archive: WalArchive, timeline: int, lsn: int) -> list[ArchivedSegment]:
    """Return the segments of the archive that lie close before a position: one short listing, or two."""
    number = segment_of(lsn, archive.segment_bytes)
    found: list[ArchivedSegment] = []
    # all digits but two: a run of at most 256 segments
    for run in {SegmentName(timeline, near).name(archive.segment_bytes)[:22] for near in (max(number - 1, 0), number)}:
        found += archive.segments_of(archive.files(run))
    return found


def _newest(
    segments: Iterable[ArchivedSegment], history: TimelineHistory | None, segment_bytes: int
) -> tuple[ArchivedSegment | None, int | None]:
    """Return the segment with which the server's log goes furthest, and up to where; of a server unknown the last."""
    if history is not None:
        return newest_of(segments, history, segment_bytes) or (None, None)
    whole = (segment for segment in segments if not segment.partial)
    return max(whole, key=lambda one: (one.timeline, one.number), default=None), None
