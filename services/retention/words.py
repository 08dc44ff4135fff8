"""The policy and its reasons in words, for people."""

from __future__ import annotations

from collections.abc import Sequence

from services.retention.planner import Going, Reason
from services.retention.policy import TIERS, RetentionPolicy, Tier
from services.status import age

UNITS: dict[Tier, tuple[str, str]] = {
    "daily": ("day", "days"),
    "weekly": ("week", "weeks"),
    "monthly": ("month", "months"),
    "yearly": ("year", "years"),
}

REASON_WORDS: dict[Reason, str] = {
    "daily": "the newest good backup of its day",
    "weekly": "the newest good backup of its week",
    "monthly": "the newest good backup of its month",
    "yearly": "the newest good backup of its year",
    "pinned": "somebody pinned it",
    "minimum": "one of the newest good backups",
    "proven": "the newest backup that a restore test proved",
    "recent on-demand": "on-demand or emergency, and younger than 30 days",
    "active": "something is working on it",
    "future": "dated after now: a clock is or was wrong",
    "recent failure": "failed, and not older than 7 days",
    "no newer good": "failed, and no newer backup is good",
    "recent partial": "partial, and still young",
    "base": "a base backup, which has a rule of its own",
    "adopted": "an adopted file, which only people delete",
    "locked": "its storage has locked it, and lets nobody delete it before",
    "unnamed storage": "a copy of it lies in a storage that the settings do not name",
    "untrusted": "its manifest is not ours to believe, so only people delete it",
}

GOING_WORDS: dict[Going, str] = {
    "": "",
    "outside every tier": "outside every tier",
    "old failure": "failed, older than 7 days, and a newer one is good",
    "old partial": "partial, and older than its age",
    "deletion begun": "its deletion was begun and not ended",
    "expired": "deleted already",
}


UNNAMED_HINT = (
    "Name the storage again in the settings; or, where another one has the same folder or bucket, run `backups "
    "rebuild`, which takes over what lies there; or give it up: `backups forget-storage NAME`."
)


def unnamed_words(storages: Sequence[str]) -> str:
    """Say why a backup is not deleted of which a copy lies in storages that the settings do not name."""
    return f"a copy of it lies in {', '.join(storages)}, which the settings do not name"


def policy_words(policy: RetentionPolicy) -> str:
    """Return a policy as a sentence that begins with what is kept."""
    tiers = [_counted(policy, tier) for tier in TIERS if policy.count(tier)]
    listed = tiers[0] if len(tiers) == 1 else f"{', '.join(tiers[:-1])} and {tiers[-1]}"
    newest = "the newest good one" if policy.minimum == 1 else f"the {policy.minimum} newest good ones"
    return (
        f"The newest good backup of each of the last {listed} that have one, and always {newest}. "
        f"Partial ones for {age(policy.partial_age)}."
    )


def policy_short(policy: RetentionPolicy) -> str:
    """Return a policy's tiers in a few characters: ``7 days · 4 weeks · 12 months · 5 years``."""
    return " · ".join(_counted(policy, tier) for tier in TIERS if policy.count(tier))


def _counted(policy: RetentionPolicy, tier: Tier) -> str:
    return f"{policy.count(tier)} {UNITS[tier][policy.count(tier) != 1]}"
