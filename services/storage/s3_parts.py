"""How an object is cut into the parts of a multipart upload."""

from __future__ import annotations

from dataclasses import dataclass

MB = 1 << 20
MAX_PARTS = 10_000
MIN_PART = 8 * MB
MAX_PART = 5 * 1024 * MB
COMFORTABLE_PART = 32 * MB
"""Up to this size the estimate gets its full margin; beyond, memory counts for more."""
UNKNOWN_PART = 16 * MB
"""Part size when nobody knows how large the object will be: enough for 167 GB."""
FULL_MARGIN = 10
SMALL_MARGIN = 2
BUFFERS = 48 * MB
"""Memory for parts: one that is being filled and those that are on their way."""
MAX_PARALLEL = 4


@dataclass(frozen=True)
class PartPlan:
    """Size of every part but the last (R2 wants them equal), and how many are sent at the same time."""

    part_bytes: int
    parallel: int

    @property
    def max_object_bytes(self) -> int:
        return self.part_bytes * MAX_PARTS


def plan_parts(expected_bytes: int | None) -> PartPlan:
    """Given the expected size of the object (None: unknown), return sizes that need at most 10,000 parts.

    An estimate may be ten times too small while that costs no more than 32 MB parts (estimates to 33 GB), and twice
    beyond. Parts in memory take 48 MB, or two parts where they are larger than 24 MB: up to an expected size of 165 GB
    that is 64 MB.
    """
    if expected_bytes is None:
        part = UNKNOWN_PART
    else:
        generous = _whole_mb(-(-expected_bytes * FULL_MARGIN // MAX_PARTS))
        needed = _whole_mb(-(-expected_bytes * SMALL_MARGIN // MAX_PARTS))
        part = min(max(MIN_PART, min(generous, COMFORTABLE_PART), needed), MAX_PART)
    return PartPlan(part, min(max(BUFFERS // part - 1, 1), MAX_PARALLEL))


def _whole_mb(size: int) -> int:
    return -(-size // MB) * MB
