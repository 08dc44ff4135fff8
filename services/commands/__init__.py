"""Everything that a person can ask for. Pages and command line change something only through here.

Each command, in the module of its subject, checks what can be checked at once, writes the run's row and, with
``queue``, puts it into the worker's queue, in one transaction; it returns the run's id. The same idempotency key
returns the same run: a second click, a reload or a second tab starts nothing twice.
"""

from services.backups.request import BackupRequest
from services.commands.archives import submit_archives, submit_thaw
from services.commands.backups import submit_adopt, submit_backup
from services.commands.compressions import submit_compressions
from services.commands.copies import submit_copy
from services.commands.restores import submit_restore, submit_verification
from services.commands.submit import MAX_NOTE
from services.commands.upkeep import request_cancel, submit_janitor

__all__ = [
    "MAX_NOTE",
    "BackupRequest",
    "request_cancel",
    "submit_adopt",
    "submit_archives",
    "submit_backup",
    "submit_compressions",
    "submit_copy",
    "submit_janitor",
    "submit_restore",
    "submit_thaw",
    "submit_verification",
]
