"""The JSON of `backups pitr`'s commands about the log. Keys are stable: they are added to, never renamed."""

from __future__ import annotations

from typing import Any

from services.clock import isoformat
from services.pitr.gaps import Gap
from services.pitr.listing import Listing
from services.pitr.status import PitrStatus
from services.pitr.status_check import StatusCheck
from services.pitr.wal_names import format_lsn
from services.pitr.window import Window


def status_form(status: PitrStatus) -> dict[str, Any]:
    """Return the status of a server."""
    facts = status.facts
    return {
        "database": status.database,
        "enabled": status.enabled,
        "method": status.method,
        "worst": status.worst,
        "checks": [check_form(check) for check in status.checks],
        "server": None
        if facts is None
        else {
            "major": facts.major,
            "system_identifier": facts.system_identifier,
            "current_lsn": None if facts.current_lsn is None else format_lsn(facts.current_lsn),
            "segment_bytes": facts.segment_bytes,
            "settings": dict(facts.settings),
            "slots": [
                {"name": s.name, "type": s.type, "active": s.active, "wal_status": s.wal_status, "lag": s.lag_bytes}
                for s in facts.slots
            ],
            "archived_count": facts.archiver.archived_count,
            "failed_count": facts.archiver.failed_count,
            "last_archived_at": isoformat(facts.archiver.last_archived_at),
        },
    }


def check_form(check: StatusCheck) -> dict[str, Any]:
    """Return one check, with what mends it."""
    remedy = check.remedy
    return {
        "name": check.name,
        "severity": check.severity,
        "message": check.message,
        "hint": check.hint,
        "remedy": None
        if remedy is None
        else {"sql": list(remedy.statements), "by_hand": remedy.by_hand, "then": remedy.then},
    }


def listing_form(listing: Listing) -> dict[str, Any]:
    """Return what an archive lists."""
    return {
        "system_identifier": listing.system_identifier,
        "segment_bytes": listing.segment_bytes,
        "segments": len(listing.segments),
        "stored_bytes": listing.stored_bytes,
        "last_stored_at": isoformat(listing.last_stored_at),
        "gaps": [gap_form(gap) for gap in listing.gaps],
        "bad": [{"key": one.key, "reason": one.reason} for one in listing.bad],
    }


def window_form(window: Window) -> dict[str, Any]:
    """Return a recovery window."""
    return {
        "from_at": isoformat(window.from_at),
        "to_at": isoformat(window.to_at),
        "timeline": window.timeline,
        "from_lsn": format_lsn(window.from_lsn),
        "to_lsn": format_lsn(window.to_lsn),
        "gaps": [gap_form(gap) for gap in window.gaps],
    }


def gap_form(gap: Gap) -> dict[str, Any]:
    """Return a gap with every missing segment's name."""
    return {
        "timeline": gap.timeline,
        "segments": gap.names(),
        "count": gap.count,
        "before_at": isoformat(gap.before_at),
        "after_at": isoformat(gap.after_at),
    }
