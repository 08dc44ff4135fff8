"""The read model of the storages: what each holds, what still fits, how fast that grows, and when it is full."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from services.backups.missing_copies import find_missing
from services.backups.mounted import mounted_storage
from services.capacity.growth import WINDOW, add_up, days_until, levels, slope_per_day
from services.catalog.copies import MissingCopy
from services.catalog.model import BackupType
from services.catalog.summaries import last_good_backups
from services.catalog.usage import Change, Held, changes, held
from services.errors import StorageError
from services.installation import Installation
from services.retention.words import UNNAMED_HINT
from services.settings.model import StorageSettings
from services.storage.classes import cold_classes
from services.units import format_bytes

YEAR = timedelta(days=365)
SOON = 30
"""A storage that is full within so many days wants attention now."""
ROOM_FOR = 2
"""Less room than for so many more backups of everything that is stored there is little."""

Severity = Literal["ok", "warning", "failure", "unknown"]


@dataclass(frozen=True)
class Use:
    """Copies and their bytes."""

    copies: int
    bytes: int


@dataclass(frozen=True)
class StorageCard:
    """One storage of the settings, or one that is not in them any more and of which the catalogue knows copies."""

    name: str
    url: str
    """Empty for one that is not in the settings any more."""
    used: Use
    by_database: dict[str, Use]
    by_type: dict[BackupType | Literal["wal"], Use]
    """``wal``: the write-ahead log, which is no copy."""
    by_class: dict[str, Use]
    cold_classes: tuple[str, ...]
    """Colder storage classes that it has."""
    limit_bytes: int | None
    free_bytes: int | None
    """What the disk has left; None for S3."""
    warn_percent: int
    """From this share on it counts as nearly full."""
    growth_bytes_per_day: float | None
    """None: too little history."""
    next_bytes: int
    """What one more backup of each database that is stored here would take."""
    wanting: int
    """Copies that ought to be here and are not whole."""
    problem: str = ""
    """Why the storage could not be asked."""
    is_known: bool = True
    """Whether the settings name it."""

    @property
    def total_bytes(self) -> int | None:
        """What fits in all, by the tighter of limit and disk; None where nothing bounds it."""
        bounds = [self.limit_bytes] if self.limit_bytes is not None else []
        if self.free_bytes is not None:
            bounds.append(self.used.bytes + self.free_bytes)
        return min(bounds, default=None)

    @property
    def room_bytes(self) -> int | None:
        """What still fits; None where nothing bounds it."""
        return None if self.total_bytes is None else max(0, self.total_bytes - self.used.bytes)

    @property
    def full_in_days(self) -> int | None:
        """None where nothing bounds it, or where it does not grow (or nobody knows yet)."""
        return days_until(self.room_bytes, self.growth_bytes_per_day)

    @property
    def verdict(self) -> tuple[Severity, str]:
        """Say how things stand with the room here, in a word that counts and in a sentence."""
        total, room, days = self.total_bytes, self.room_bytes, self.full_in_days
        if not self.is_known:
            lost = "It is not in the settings any more: nothing in it can be read, and nothing of it counts."
            return "warning", f"{lost} {UNNAMED_HINT.replace('NAME', self.name)}"
        if self.problem:
            return "unknown", self.problem
        if total is None or room is None:
            return "ok", "Nothing limits it."
        if room < self.next_bytes:
            return "failure", f"No room for the next backups: {format_bytes(self.next_bytes)} are expected."
        if self.used.bytes * 100 >= self.warn_percent * total:
            return "warning", f"Nearly full: over {self.warn_percent} % of {format_bytes(total)}."
        if room < ROOM_FOR * self.next_bytes:
            return "warning", f"Room for fewer than {ROOM_FOR} more backups of what is stored here."
        if days is not None and days <= SOON:
            return "warning", f"Full in {days} {'day' if days == 1 else 'days'} at this pace."
        return "ok", f"{format_bytes(room)} left."


@dataclass(frozen=True)
class Level:
    """What one storage held of one database at the end of one UTC day."""

    storage: str
    database: str
    day: date
    bytes: int


@dataclass(frozen=True)
class StorageReport:
    """Everything that the page and the command line say of the storages, at ``now``."""

    now: datetime
    cards: tuple[StorageCard, ...]
    held: tuple[Held, ...]
    history: tuple[Level, ...]
    """Of the last year: today, and each seventh day before, for every storage and database; the first day first."""
    missing: tuple[MissingCopy, ...]
    """The newest of the copies that are wanting."""
    missing_count: int

    @property
    def verdict(self) -> tuple[Severity, str]:
        """Return one sentence about all storages: of the one that is worst off, or that all is well."""
        worst = max(self.cards, key=lambda card: _WORST_LAST.index(card.verdict[0]), default=None)
        severity, words = worst.verdict if worst is not None else ("unknown", "No storage is configured.")
        if worst is not None and severity != "ok":
            return severity, f"{worst.name}: {words}"
        if self.missing_count:
            many = "1 copy is" if self.missing_count == 1 else f"{self.missing_count:,} copies are"
            return "warning", f"There is room in every storage; {many} wanting."
        if worst is not None and not self.held:
            words = "There is room in every storage; nothing is stored yet."
        elif worst is not None:
            words = "There is room in every storage, and every backup has all its copies."
        return severity, words


_WORST_LAST: tuple[Severity, ...] = ("ok", "unknown", "warning", "failure")


def load_storage_report(installation: Installation) -> StorageReport:
    """Return how things stand with every storage. Six queries, whatever the catalogue holds; local disks are asked."""
    engine, settings, now = installation.catalog.engine, installation.settings, installation.clock()
    found = held(engine)
    past = changes(engine, since=_midnight(_day(now) - YEAR))
    sizes = {database: good.stored_bytes for database, good in last_good_backups(engine).items()}
    missing, wanting = find_missing(installation)
    names = [storage.name for storage in settings.storages]
    gone = sorted({each.storage for each in found} - set(names))
    cards = [
        _card(installation, name, found, past, _next_bytes(installation, name, sizes), wanting.get(name, 0), now)
        for name in (*names, *gone)
    ]
    # What lies in the others is unknown. It may be the very folder that has another name now: it is not counted twice.
    found = [each for each in found if each.storage in names]
    history = _history(found, past, _day(now))
    return StorageReport(now, tuple(cards), tuple(found), history, tuple(missing), sum(wanting.values()))


def _history(found: Sequence[Held], past: Sequence[Change], today: date) -> tuple[Level, ...]:
    first = today - timedelta(days=YEAR.days // 7 * 7)
    now_bytes: defaultdict[tuple[str, str], int] = defaultdict(int)
    for each in found:
        now_bytes[each.storage, each.database] += each.bytes
    by_series: defaultdict[tuple[str, str], list[tuple[date, int]]] = defaultdict(list)
    for change in past:
        by_series[change.storage, change.database].append((change.day, change.bytes))
    return tuple(
        Level(*series, first + timedelta(days=7 * n), level)
        for series in sorted({*now_bytes, *by_series})
        for n, level in enumerate(levels(now_bytes[series], add_up(by_series[series]), first=first, last=today)[::7])
    )


def _card(
    installation: Installation,
    name: str,
    found: Sequence[Held],
    recent: Sequence[Change],
    next_bytes: int,
    wanting: int,
    now: datetime,
) -> StorageCard:
    here = [each for each in found if each.storage == name]
    past = [change for change in recent if change.storage == name]
    used = _sum(here)
    storage = next((each for each in installation.settings.storages if each.name == name), None)
    free, problem = None, ""
    if storage is not None:
        free, problem = _free_bytes(installation, storage)
    return StorageCard(
        name=name,
        url=storage.url if storage else "",
        used=used,
        by_database={n: _sum(h for h in here if h.database == n) for n in sorted({h.database for h in here})},
        by_type={t: _sum(h for h in here if h.type == t) for t in sorted({h.type for h in here})},
        by_class={c: _sum(h for h in here if h.storage_class == c) for c in sorted({h.storage_class for h in here})},
        cold_classes=cold_classes(storage) if storage else (),
        limit_bytes=storage.limit_bytes if storage else None,
        free_bytes=free,
        warn_percent=storage.warn_percent if storage else 100,
        growth_bytes_per_day=_growth(used.bytes, past, _day(now)),
        next_bytes=next_bytes,
        wanting=wanting,
        problem=problem,
        is_known=storage is not None,
    )


def _free_bytes(installation: Installation, storage: StorageSettings) -> tuple[int | None, str]:
    """Return what the disk has left, and why it could not be asked. S3 does not tell, and is not asked at all."""
    if not storage.is_local:
        return None, ""
    try:
        return mounted_storage(installation, storage.name).free_bytes(), ""
    except StorageError as error:
        return None, str(error)


def _growth(now_bytes: int, past: Sequence[Change], today: date) -> float | None:
    """Return the pace of the last 90 days, or of as many as there are since the first backup was stored."""
    by_day = add_up((change.day, change.bytes) for change in past)
    if not by_day and not now_bytes:
        return None
    # What was there before the window shows as a level above 0 at its beginning.
    first = today - WINDOW
    daily = levels(now_bytes, by_day, first=first, last=today)
    begun = next((n for n, level in enumerate(daily) if level > 0), len(daily))
    return slope_per_day(daily[begun:])


def _next_bytes(installation: Installation, storage: str, sizes: dict[str, int]) -> int:
    settings = installation.settings
    stored_here = [d.name for d in settings.databases if storage in [s.name for s in settings.storages_of(d)]]
    return sum(sizes.get(name, 0) for name in stored_here)


def _sum(found: Iterable[Held]) -> Use:
    rows = list(found)
    return Use(sum(each.copies for each in rows), sum(each.bytes for each in rows))


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
