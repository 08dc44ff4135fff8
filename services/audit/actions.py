"""What can stand in the log, beside the commands of ``services.commands``: names that stay, and their words."""

from __future__ import annotations

OWN_ACTIONS: dict[str, str] = {
    "audit.anchor": "anchor the audit log in a storage",
    "backup.read": "read what is stored of a backup, or of a server's log",
    "download": "download a backup by a link",
    "run.end": "the end of a run",
    "settings.change": "settings that changed between two starts",
    "sign_in": "sign in",
    "sign_out": "sign out",
}
"""Of the others the table of permissions has the words (``services.access.table``)."""
