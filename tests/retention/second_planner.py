"""The retention rule a second time, written from its words alone and for clarity: slow, and nothing shared with ours.

Calendar periods are texts, every question is asked of the whole list, and nothing is sorted.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.retention.planner import Candidate
from services.retention.policy import RetentionPolicy

FORMATS = {"daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m", "yearly": "%Y"}


def reasons_by_id(backups: list[Candidate], policy: RetentionPolicy, now: datetime) -> dict[str, set[str]]:
    """Return for each backup of one database everything that keeps it; nothing for one that goes."""
    return {backup.id: reasons_for(backup, backups, policy, now) for backup in backups}


def reasons_for(b: Candidate, everything: list[Candidate], policy: RetentionPolicy, now: datetime) -> set[str]:
    if b.state in ("expired", "deleting"):
        return set()
    found = set()
    if b.pinned:
        found.add("pinned")
    if b.active or b.state in ("queued", "running"):
        found.add("active")
    if b.type == "base":
        found.add("base")
    if b.finished_at is None:
        return found
    if b.finished_at > now:
        found.add("future")
    if b.type in ("on-demand", "emergency") and b.finished_at > now - timedelta(days=30):
        found.add("recent on-demand")
    if b.type == "base" or b.state in ("queued", "running"):
        return found
    newer_good = [other for other in everything if is_good(other) and order(other) > order(b)]
    if is_good(b):
        for tier, form in FORMATS.items():
            own = period(b, form)
            if own not in {period(o, form) for o in newer_good}:
                later = {period(o, form) for o in newer_good}
                if len(later) < getattr(policy, tier):
                    found.add(tier)
        if len(newer_good) < policy.minimum:
            found.add("minimum")
        if b.finished_at <= now and all(o.finished_at > now for o in newer_good):
            found.add("minimum")
        if b.proven_at and not any(o.proven_at for o in newer_good):
            found.add("proven")
    elif b.untrusted:
        found.add("untrusted")
    elif b.state in ("failed", "cancelled", "lost") or b.verification_passed is False or not b.stored:
        if not b.finished_at < now - timedelta(days=7):
            found.add("recent failure")
        if not newer_good:
            found.add("no newer good")
    elif b.adopted:
        found.add("adopted")
    elif b.partial and b.finished_at > now - policy.partial_age:
        found.add("recent partial")
    return found


def is_good(b: Candidate) -> bool:
    ours = not b.partial and not b.adopted and not b.untrusted
    return b.state == "finished" and b.verification_passed in (None, True) and b.type != "base" and b.stored and ours


def order(b: Candidate) -> tuple[datetime, str]:
    assert b.finished_at is not None
    return b.finished_at, b.id


def period(b: Candidate, form: str) -> str:
    assert b.finished_at is not None
    return b.finished_at.astimezone(UTC).strftime(form)
