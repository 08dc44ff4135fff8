"""Storage classes: which a storage has, how cold they are, and how long it takes to read something back.

Sources, as read in November 2026: "Understanding and managing Amazon S3 storage classes" and "Understanding archive
retrieval options" in Amazon S3's user guide, and "Storage classes" in Cloudflare's documentation of R2, which has
Standard and Infrequent Access alone and answers 501 to any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from services.settings.model import COLD_CLASSES, StorageSettings

STANDARD = "STANDARD"
_EXPEDITED_UP_TO = 250 * 10**6
_EXPEDITED_RATE = 300 * 10**6
"""Expedited retrievals of objects from 250 MB on run at up to 300 MB/s."""


@dataclass(frozen=True)
class StorageClass:
    """One storage class."""

    name: str
    title: str
    minimum_days: int = 0
    """What is deleted or moved earlier is billed as if it had stayed so long."""
    thaw: Mapping[str, timedelta] = field(default_factory=dict)
    """By tier, the longest that a thaw typically takes; empty: what lies here can be read at once."""

    @property
    def is_frozen(self) -> bool:
        """Whether an object has to be thawed before it can be read."""
        return bool(self.thaw)


def _hours(count: float) -> timedelta:
    return timedelta(hours=count)


_CLASSES = (
    StorageClass(STANDARD, "Standard"),
    StorageClass("INTELLIGENT_TIERING", "Intelligent-Tiering"),
    StorageClass("STANDARD_IA", "Infrequent Access", 30),
    StorageClass("ONEZONE_IA", "One Zone-Infrequent Access", 30),
    StorageClass("GLACIER_IR", "Glacier Instant Retrieval", 90),
    StorageClass(
        "GLACIER",
        "Glacier Flexible Retrieval",
        90,
        {"Standard": _hours(5), "Bulk": _hours(12), "Expedited": timedelta(minutes=5)},
    ),
    StorageClass("DEEP_ARCHIVE", "Glacier Deep Archive", 180, {"Standard": _hours(12), "Bulk": _hours(48)}),
)
"""The warmest first."""
CLASSES = {each.name: each for each in _CLASSES}
FROZEN = tuple(each.name for each in _CLASSES if each.is_frozen)
_OF_R2 = ("STANDARD_IA",)


def cold_classes(storage: StorageSettings) -> tuple[str, ...]:
    """Return the classes of a storage that are colder than the standard one; empty where it has none, or none known.

    What the settings say goes before what is known of the endpoint. Of a server that is neither Amazon's nor R2
    nothing is assumed.
    """
    if storage.storage_classes is not None:
        return storage.storage_classes
    if storage.is_local:
        return ()
    host = urlsplit(storage.endpoint_url).hostname or "" if storage.endpoint_url else "amazonaws.com"
    if host == "amazonaws.com" or host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return COLD_CLASSES
    if host.endswith(".r2.cloudflarestorage.com"):
        return _OF_R2
    return ()


def default_cold_class(storage: StorageSettings) -> str | None:
    """Return the class that an archive goes to when none is named: GLACIER where there is one; None where none is."""
    classes = cold_classes(storage)
    if "GLACIER" in classes:
        return "GLACIER"
    return classes[-1] if classes else None


def is_frozen(name: str) -> bool:
    """Say whether what lies in this class has to be thawed before it can be read. One that is unknown has not."""
    return name in FROZEN


def is_colder(name: str, than: str) -> bool:
    """Say whether one class is colder than another; an unknown one counts as standard."""
    order = [STANDARD, *COLD_CLASSES]
    ranks = [order.index(each) if each in order else 0 for each in (name, than)]
    return ranks[0] > ranks[1]


def thaw_time(name: str, tier: str, size: int) -> timedelta:
    """Return the longest that a thaw of ``size`` bytes typically takes; of an unknown class or tier, two days."""
    known = CLASSES.get(name)
    length = known.thaw.get(tier, _hours(48)) if known else _hours(48)
    if tier == "Expedited" and size > _EXPEDITED_UP_TO:
        length += timedelta(seconds=size / _EXPEDITED_RATE)
    return length
