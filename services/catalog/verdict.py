"""What all verifications of a backup together say of it, where it may have several copies.

A failure is about one *copy* when that copy's object or manifest is gone or changed: the others may be as they were. It
is about the *backup* when the stored bytes are those that were recorded and yet do not give the data back: then every
copy of them is as bad. A backup with a damaged copy stands as long as another copy vouches for it: one that was read to
its end and has not failed since. Where a copy is just not there, a look at another one suffices, as it does for a
backup that has a single copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

DEPTH = {"stored": 0, "checksum": 1, "archive": 2, "restore": 3}
_READ_TO_THE_END = DEPTH["checksum"]
"""From this depth on a pass says that the bytes are those that were recorded, so that a proof of them holds here."""


@dataclass(frozen=True)
class Check:
    """One verification that passed or failed, as much of it as counts here."""

    storage: str
    level: str
    passed: bool
    at: datetime
    of_copy: bool = False
    """A failure that condemns its own copy only."""
    missing: bool = False
    """Such a failure, of a copy that was not there: its bytes were not looked at, however deep the check was to go."""
    stored_anew: bool = False
    """A pass of a copy that had just been stored (again): what was found there before says nothing of it."""

    @property
    def depth(self) -> int:
        """How deep it looked."""
        return DEPTH["stored"] if self.missing else DEPTH[self.level]


@dataclass(frozen=True)
class Verdict:
    """What a backup's row says of its verifications."""

    level: str | None = None
    at: datetime | None = None
    passed: bool | None = None
    proven_at: datetime | None = None
    of_backup: bool = False
    """Whether the failure is the backup's own: no copy of it is worth making."""
    read_in: frozenset[str] = frozenset()
    """Storages whose copy was read to its end, at least, and has not failed since: those vouch for the backup."""
    condemned_in: frozenset[str] = frozenset()
    """Storages whose own copy was found bad, and has not passed since."""

    def values(self) -> dict[str, Any]:
        """Return the columns of the backup's row."""
        return {
            "verification_level": self.level,
            "verification_at": self.at,
            "verification_passed": self.passed,
            "proven_at": self.proven_at,
        }

    def safe_in(self, stored: Iterable[str], configured: Iterable[str]) -> tuple[str, ...]:
        """Return the storages of which may be said that the backup is safe there.

        ``stored``: those that hold a copy in state *stored*; ``configured``: those of the settings. A copy that was
        read and deleted since, or that lies where nobody looks any more, saves nothing.
        """
        return tuple(sorted(self.read_in & set(stored) & set(configured)))


def judge(checks: Iterable[Check]) -> Verdict:
    """Given a backup's checks in order of time, return what they say together.

    The verdict is that of the latest check that stands. A failure stands until a check of at least the same depth
    passes (of the same copy, when it was about that one), since a shallow pass says nothing about a deep failure. A
    failure takes the proof away, unless another copy vouches for the same bytes. That of a copy which was just not
    there comes back when it is there again and is read to its end: they are the bytes that were proven.
    """
    standing: dict[str, Check] = {}  # by storage, its latest pass that nothing has unsaid
    condemned: dict[str, Check] = {}  # by storage, the deepest failure of the copy there
    read: set[str] = set()  # storages whose copy was read to its end and has not failed since
    bad: Check | None = None  # the deepest failure of the backup itself
    latest_failure: Check | None = None
    proven_at: datetime | None = None
    suspended: datetime | None = None  # the proof of a copy that was not there
    for check in checks:
        depth = check.depth
        if not check.passed:
            latest_failure = check
            if not check.of_copy:
                bad = _deeper(bad, check)
                standing.clear()
                read.clear()
                proven_at = suspended = None
                continue
            condemned[check.storage] = _deeper(condemned.get(check.storage), check)
            standing.pop(check.storage, None)
            read.discard(check.storage)
            if not read:
                suspended = (proven_at or suspended) if check.missing else None
                proven_at = None
            continue
        before = condemned.get(check.storage)
        if before is not None and depth < before.depth and not check.stored_anew:
            continue
        if bad is not None and depth < bad.depth:
            continue
        condemned.pop(check.storage, None)
        bad = None
        standing[check.storage] = check
        if depth >= _READ_TO_THE_END:
            read.add(check.storage)
            proven_at, suspended = proven_at or suspended, None
        if check.level == "restore":
            proven_at = check.at
    damaged = any(not check.missing for check in condemned.values())
    vouched = read if damaged else standing
    if bad is not None or (condemned and not vouched):
        assert latest_failure is not None  # something failed
        return Verdict(
            latest_failure.level, latest_failure.at, False, None, of_backup=bad is not None,
            condemned_in=frozenset(condemned),
        )  # fmt: skip
    if not standing:
        return Verdict()
    latest = max(standing.values(), key=lambda check: check.at)
    return Verdict(
        latest.level, latest.at, True, proven_at, read_in=frozenset(read), condemned_in=frozenset(condemned)
    )  # fmt: skip


def _deeper(first: Check | None, second: Check) -> Check:
    return first if first is not None and first.depth > second.depth else second
