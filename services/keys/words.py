"""How things stand with the keys, in a sentence: the page, the overview and the health checks say the same."""

from __future__ import annotations

from services.keys.holders import KeyReport
from services.settings.model import Settings
from services.status import age

ADD_A_KEY = "Make a second pair, keep it offline, add it to BACKUP_RECIPIENTS, and run `backups keys rotate`."


def recipients_words(report: KeyReport) -> str:
    """Say how many keys open what is backed up now."""
    many = len(report.present)
    if not many:
        return "Backups are not encrypted."
    if many == 1:
        return "One key alone opens the backups: if its secret key is lost, so are they."
    offline = sum(not holder.is_at_hand for holder in report.present)
    return f"{many} keys each open new backups; {offline} of them {'is' if offline == 1 else 'are'} kept elsewhere."


def drill_words(report: KeyReport) -> str:
    """Say when the recovery key was last proven, and when that is due again; empty where none is asked."""
    due = report.due
    if due is None or due.due_at is None:
        return ""
    which = f"“{due.name}”" if due.name else f"{due.public_key[:12]}…"
    proven = f"last proven {age(report.now - due.proven_at)} ago" if due.proven_at else "never proven in a drill"
    if report.is_overdue:
        return f"Recovery key {which} {proven}; the drill is overdue by {age(report.now - due.due_at)}."
    return f"Recovery key {which} {proven}; the next drill is due in {age(due.due_at - report.now)}."


def log_words(settings: Settings) -> str:
    """Say how long a former key is needed for the log of point in time, which no rotation touches; empty for none."""
    logged = [one for one in settings.databases if one.pitr.enabled and one.encrypt]
    if not logged:
        return ""
    longest = max(one.pitr.window for one in logged)
    names = ", ".join(one.name for one in logged)
    return (
        f"The write-ahead log of {names} is not encrypted anew: keep a former secret key for {age(longest)} after the "
        "change, until what it opens has left the window."
    )
