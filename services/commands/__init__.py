"""Everything that a person can ask for. Pages and command line change something only through here.

Each command, in the module of its subject, checks what can be checked at once, writes the run's row and, with
``queue``, puts it into the worker's queue, in one transaction; it returns the run's id. The same idempotency key
returns the same run: a second click, a reload or a second tab starts nothing twice.
"""

from services.backups.request import BackupRequest
from services.commands.alerts import ChannelTest, acknowledge_alert, send_test_messages
from services.commands.approvals import approve_request, reject_request
from services.commands.archives import submit_archives, submit_thaw
from services.commands.audit import accept_audit, anchor_audit, export_audit, verify_audit, visible_audit
from services.commands.backups import submit_adopt, submit_backup
from services.commands.compressions import submit_compressions
from services.commands.copies import submit_copy
from services.commands.downloads import ask_download, download_to_file
from services.commands.emergency import release_read_only, submit_emergency
from services.commands.keys import hold_key_drill, submit_rotation
from services.commands.people import (
    add_person,
    disable_person,
    enable_person,
    note_sign_in,
    release_account,
    set_role,
    sign_out,
)
from services.commands.point_in_time import submit_base_backup, submit_point_restore, submit_point_test
from services.commands.restores import submit_restore, submit_verification
from services.commands.retention import MAX_AT_ONCE, set_pin, submit_cleanup, submit_deletion
from services.commands.review import (
    MAX_OWNER,
    add_action_item,
    change_action_item,
    complete_action_item,
    edit_review_note,
    reopen_action_item,
    withdraw_review_note,
    write_review_note,
)
from services.commands.schedules import pause_schedule, resume_schedule, run_schedule, set_schedule
from services.commands.submit import MAX_NOTE
from services.commands.upkeep import forget_storage, request_cancel, submit_health, submit_janitor
from services.emergency.request import EmergencyRequest

__all__ = [
    "MAX_AT_ONCE",
    "MAX_NOTE",
    "MAX_OWNER",
    "BackupRequest",
    "ChannelTest",
    "EmergencyRequest",
    "accept_audit",
    "acknowledge_alert",
    "add_action_item",
    "add_person",
    "anchor_audit",
    "approve_request",
    "ask_download",
    "change_action_item",
    "complete_action_item",
    "disable_person",
    "download_to_file",
    "edit_review_note",
    "enable_person",
    "export_audit",
    "forget_storage",
    "hold_key_drill",
    "note_sign_in",
    "pause_schedule",
    "reject_request",
    "release_account",
    "release_read_only",
    "reopen_action_item",
    "request_cancel",
    "resume_schedule",
    "run_schedule",
    "send_test_messages",
    "set_pin",
    "set_role",
    "set_schedule",
    "sign_out",
    "submit_adopt",
    "submit_archives",
    "submit_backup",
    "submit_base_backup",
    "submit_cleanup",
    "submit_compressions",
    "submit_copy",
    "submit_deletion",
    "submit_emergency",
    "submit_health",
    "submit_janitor",
    "submit_point_restore",
    "submit_point_test",
    "submit_restore",
    "submit_rotation",
    "submit_thaw",
    "submit_verification",
    "verify_audit",
    "visible_audit",
    "withdraw_review_note",
    "write_review_note",
]
