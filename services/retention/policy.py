"""The retention policy: how many days, weeks, months and years keep a backup."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from services.errors import InputError

Tier = Literal["daily", "weekly", "monthly", "yearly"]
TIERS: tuple[Tier, ...] = ("daily", "weekly", "monthly", "yearly")

MOST = 100_000
"""The largest number that a policy takes, so that a slip of the finger is one."""
EXAMPLE = "7,4,12,5"
"""The runbook's rotation policy."""
ALLOWED = (
    f"Write four whole numbers from 0 to {MOST:,}, at least one of them above 0: daily, weekly, monthly, yearly; "
    f"for example {EXAMPLE}."
)
MINIMUM_ALLOWED = f"Write a whole number from 1 to {MOST:,}; for example 3."


@dataclass(frozen=True)
class RetentionPolicy:
    """How many periods of each tier keep a backup. The defaults are the runbook's."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 12
    yearly: int = 5
    minimum: int = 3
    """So many of the newest good backups are kept whatever the tiers say."""
    partial_age: timedelta = timedelta(days=30)
    """How long a partial backup is kept; it never counts for a tier."""

    def __post_init__(self) -> None:
        """Raise InputError for a policy that would keep nothing, or that nobody can mean."""
        wrong = [f"{tier} {self.count(tier)}" for tier in TIERS if not 0 <= self.count(tier) <= MOST]
        if wrong:
            raise InputError(f"A retention policy cannot have {' and '.join(wrong)}.", hint=ALLOWED)
        if not any(self.count(tier) for tier in TIERS):
            raise InputError("A retention policy of zeros would keep nothing.", hint=ALLOWED)
        if not 1 <= self.minimum <= MOST:
            raise InputError(f"A retention policy cannot have minimum {self.minimum}.", hint=MINIMUM_ALLOWED)
        if self.partial_age < timedelta(0):
            raise InputError("Partial backups cannot be kept for less than no time.", hint="Write an age: 30d.")

    def count(self, tier: Tier) -> int:
        """Return how many periods of a tier keep a backup."""
        return {"daily": self.daily, "weekly": self.weekly, "monthly": self.monthly, "yearly": self.yearly}[tier]

    def __str__(self) -> str:
        """Return the form that ``parse`` reads."""
        return ",".join(str(self.count(tier)) for tier in TIERS)

    @classmethod
    def parse(cls, text: str, *, minimum: int = 3) -> RetentionPolicy:
        """Given ``7,4,12,5`` (daily, weekly, monthly, yearly), return the policy. Raise InputError."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != len(TIERS) or not all(re.fullmatch(r"[+-]?[0-9]{1,18}", part) for part in parts):
            shown = text if len(text) <= 60 else text[:57] + "…"
            raise InputError(f"{shown!r} is no retention policy.", hint=ALLOWED)
        daily, weekly, monthly, yearly = (int(part) for part in parts)
        return cls(daily, weekly, monthly, yearly, minimum=minimum)
