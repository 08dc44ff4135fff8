"""Once a minute: how far the log of each database has come, and how much of it is in the archive."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.catalog.duties import claim_duty
from services.catalog.wal_samples import WalSample, add_sample, trim_samples
from services.errors import BackupsError
from services.installation import Installation
from services.pitr.archive import ArchivedSegment, WalArchive
from services.pitr.expire import first_needed
from services.pitr.gaps import Gap, needed_gaps
from services.pitr.listing import list_archive
from services.pitr.open import find_archive
from services.pitr.server_facts import ServerFacts, ask_server
from services.pitr.wal_names import SegmentName, segment_of
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
    newest: ArchivedSegment | None
    gaps: tuple[Gap, ...]


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
        newest = seen.newest if seen is not None else None
        segment_bytes = facts.segment_bytes if facts is not None else None
        archived = (newest.number + 1) * segment_bytes if newest is not None and segment_bytes is not None else None
        current = facts.current_lsn if facts is not None else None
        slot = facts.slot(database.pitr.slot) if facts is not None else None
        gaps = seen.gaps if seen is not None else ()
        return WalSample(
            database=database.name,
            at=now,
            current_lsn=current,
            archived_lsn=archived,
            archived_at=newest.stored_at if newest is not None else None,
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
        if seen is None or now - seen.at >= LISTED_EVERY or seen.at > now:
            listing = list_archive(archive)
            begins = first_needed(self._installation, database, archive.system_identifier)
            seen = _Seen(now, _newest(listing.segments), tuple(needed_gaps(listing.gaps, begins)))
            self._seen[database.name] = seen
        elif facts is not None and facts.current_lsn is not None:
            found = _newest(_near_the_end(archive, facts.timeline, facts.current_lsn))
            if found is not None and (seen.newest is None or _place(found) > _place(seen.newest)):
                seen.newest = found
        return seen


def _near_the_end(archive: WalArchive, timeline: int, lsn: int) -> list[ArchivedSegment]:
    """Return the segments of the archive that lie close before a position: one short listing, or two."""
    number = segment_of(lsn, archive.segment_bytes)
    found: list[ArchivedSegment] = []
    # all digits but two: a run of at most 256 segments
    for run in {SegmentName(timeline, near).name(archive.segment_bytes)[:22] for near in (max(number - 1, 0), number)}:
        found += archive.segments_of(archive.files(run))
    return found


def _newest(segments: list[ArchivedSegment] | tuple[ArchivedSegment, ...]) -> ArchivedSegment | None:
    return max((segment for segment in segments if not segment.partial), key=_place, default=None)


def _place(segment: ArchivedSegment) -> tuple[int, int]:
    return segment.timeline, segment.number
