"""The runbook's backup log entry, filled in: Date, Type, Size, Duration, Location, Verified, Notes."""

from __future__ import annotations

from datetime import UTC

from services.catalog.model import Backup
from services.units import format_bytes, format_duration

_TYPES = {"scheduled": "Scheduled", "on-demand": "On-Demand", "emergency": "Emergency", "base": "Base"}


def render_log_entry(backup: Backup) -> str:
    """Given a backup, return its entry as the runbook's template has it, one fact a line. The date is in UTC.

    ``Verified`` is Yes only for a backup whose latest verification passed, and says how deep it went.
    """
    return "\n".join(f"{name}: {value}" for name, value in log_entry(backup).items())


def log_entry(backup: Backup) -> dict[str, str]:
    """Given a backup, return the facts of its entry by the names that the runbook's template gives them."""
    return {
        "Date": f"{backup.finished_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        "Type": _TYPES[backup.type],
        "Size": format_bytes(backup.stored_bytes),
        "Duration": format_duration(backup.duration),
        "Location": ", ".join(c.location for c in backup.copies if c.state != "deleted") or "none: no copy is left",
        "Verified": _verified(backup),
        "Notes": _notes(backup),
    }


def _verified(backup: Backup) -> str:
    if backup.verification_level is None or backup.verification_at is None:
        return "No"
    at = f"{backup.verification_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    level = "restore test" if backup.verification_level == "restore" else backup.verification_level
    if not backup.verification_passed:
        return f"No ({level} failed {at})"
    if backup.proven_at is not None and backup.verification_level != "restore":
        return f"Yes ({level} {at}; restore test {backup.proven_at.astimezone(UTC):%Y-%m-%d %H:%M:%S})"
    return f"Yes ({level} {at})"


def _notes(backup: Backup) -> str:
    notes = [" ".join(backup.note.split())] if backup.note.strip() else []
    if backup.is_partial:
        notes.append(f"partial, without {', '.join(backup.excluded)}")
    if backup.encryption == "none":
        notes.append("not encrypted")
    if backup.trust == "untrusted":
        notes.append("manifest untrusted")
    if backup.state == "expired":
        notes.append("expired")
    elif backup.state == "deleting":
        notes.append("its deletion was begun and not ended")
    return "; ".join(notes) or "none"
