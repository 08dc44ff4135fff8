"""What can stand in the log, beside the commands of ``services.commands``: names that stay, and their words."""

from __future__ import annotations

OWN_ACTIONS: dict[str, str] = {
    "audit.accept": "Findings of the audit log's verification were accepted",
    "audit.anchor": "The audit log was anchored in a storage",
    "audit.verify": "The audit log was verified",
    "audit.export": "The audit log was exported",
    "backup.read": "A backup's bytes were read",
    "download.ask": "A download was asked for",
    "download": "A backup was downloaded",
    "export": "Something was exported to a file",
    "run.end": "A run ended",
    "settings.change": "Settings changed between two starts",
    "sign_in": "Somebody signed in",
    "sign_out": "Somebody signed out",
}


def action_words(action: str) -> str:
    """Return what people call an action; one that is not named here speaks for itself."""
    return OWN_ACTIONS.get(action) or action
