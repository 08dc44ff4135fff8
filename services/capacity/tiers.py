"""What each tier of the retention policy costs: the bytes of the backups that it keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from services.capacity.storage_use import Use
from services.catalog.usage import bytes_of
from services.installation import Installation

OTHER = "other"
"""For what is kept without a tier: pinned, proven, recent on-demand ones."""


def use_by_tier(installation: Installation, tiers: Mapping[str, Sequence[str]]) -> dict[str, Use]:
    """Given by backup id the tiers that keep it, as the retention planner says, return the use of each tier.

    All copies in all storages are counted. A backup that several tiers keep counts in each: this is what a tier holds,
    not what leaving it out would free. One query.
    """
    sizes = bytes_of(installation.catalog.engine, tiers.keys())
    counts: defaultdict[str, int] = defaultdict(int)
    held: defaultdict[str, int] = defaultdict(int)
    for backup_id, size in sizes.items():
        for tier in tiers[backup_id] or (OTHER,):
            counts[tier] += 1
            held[tier] += size
    return {tier: Use(counts[tier], held[tier]) for tier in sorted(counts)}
