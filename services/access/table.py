"""The table of what each command needs, for pages and command line alike. docs/access.md holds the same."""

from __future__ import annotations

from dataclasses import dataclass

from services.access.roles import Role


@dataclass(frozen=True)
class Permission:
    """One thing that can be asked for."""

    name: str
    role: Role
    """The least role that may."""
    what: str
    """What it does, as the end of "may not …"."""


_ROWS: tuple[tuple[str, Role, str], ...] = (
    ("read", Role.VIEWER, "look at backups, runs, reports and settings"),
    ("export", Role.VIEWER, "export reports, logs and reviews"),
    ("audit.read", Role.VIEWER, "look at what oneself did; an admin: at the whole audit log"),
    ("audit.export", Role.VIEWER, "export what oneself did; an admin: the whole audit log"),
    ("audit.verify", Role.OPERATOR, "verify the audit log and anchor it"),
    ("audit.accept", Role.ADMIN, "accept what the verification of the audit log has found"),
    ("alert.acknowledge", Role.OPERATOR, "acknowledge an alert"),
    ("alert.test", Role.OPERATOR, "send test messages, or have the alerts looked at now"),
    ("backup.create", Role.OPERATOR, "take a backup"),
    ("backup.adopt", Role.OPERATOR, "take a dump file in as a backup"),
    ("backup.copy", Role.OPERATOR, "copy a backup into another storage"),
    ("backup.verify", Role.OPERATOR, "verify a backup"),
    ("backup.download", Role.OPERATOR, "download a backup as it is stored, encrypted"),
    ("backup.thaw", Role.OPERATOR, "thaw a backup"),
    ("backup.pin", Role.OPERATOR, "pin a backup"),
    ("base.create", Role.OPERATOR, "take a base backup"),
    ("compare", Role.OPERATOR, "compare a backup with a database, or two databases"),
    ("emergency.release", Role.OPERATOR, "release read-only mode"),
    ("health.run", Role.OPERATOR, "run the health checks"),
    ("janitor.look", Role.OPERATOR, "look for leftovers"),
    ("keys.drill", Role.OPERATOR, "hold a drill of a key"),
    ("point.test", Role.OPERATOR, "restore-test to a point in time"),
    ("restore.test", Role.OPERATOR, "hold a restore test"),
    ("retention.plan", Role.OPERATOR, "have a cleanup planned as a run"),
    ("review.write", Role.OPERATOR, "write notes and action items of the review"),
    ("run.cancel", Role.OPERATOR, "stop a run"),
    ("schedule.run", Role.OPERATOR, "run a schedule's job now; the job's own right is asked for as well"),
    ("backup.archive", Role.ADMIN, "move backups to cold storage"),
    ("backup.compress", Role.ADMIN, "compress stored backups anew"),
    ("backup.decrypt", Role.ADMIN, "decrypt a backup or a file"),
    ("backup.delete", Role.ADMIN, "delete backups"),
    ("backup.unencrypted", Role.ADMIN, "take a backup without encryption"),
    ("backup.unpin", Role.ADMIN, "take the pin off a backup"),
    ("catalog.rebuild", Role.ADMIN, "rebuild the catalogue"),
    ("emergency.create", Role.ADMIN, "take an emergency backup"),
    ("janitor.apply", Role.ADMIN, "remove leftovers"),
    ("keys.rotate", Role.ADMIN, "encrypt stored backups anew"),
    ("approval.decide", Role.ADMIN, "approve or reject what another person asked for"),
    ("people.change", Role.ADMIN, "see people, and change who may do what"),
    ("pitr.setup", Role.ADMIN, "change a server's settings for point in time"),
    ("point.restore", Role.ADMIN, "restore to a point in time"),
    ("restore.database", Role.ADMIN, "restore into a database"),
    ("retention.apply", Role.ADMIN, "apply the retention policy"),
    ("schedule.change", Role.ADMIN, "change, pause or resume a schedule"),
)

PERMISSIONS: dict[str, Permission] = {name: Permission(name, role, what) for name, role, what in _ROWS}

COMMAND_LINES: dict[str, str | None] = {
    **dict.fromkeys(
        (
            "status", "runs", "list", "contents", "trends", "preflight", "pick", "slo", "storage", "health",
            "read-only", "schedule list", "schedule show", "alert list", "alert history", "review actions",
            "keys list", "approvals list", "pitr status", "pitr gaps", "pitr windows", "pitr expire",
            "pitr list",
        ),
        "read",
    ),
    "log": "export",
    "review": "export",
    "audit list": "audit.read",
    "audit verify": "audit.verify",
    "audit anchor": "audit.verify",
    "audit accept": "audit.accept",
    "audit export": "audit.export",
    "keys sheet": "export",
    "keys rotate": "keys.rotate",
    "keys drill": "keys.drill",
    "approvals approve": "approval.decide",
    "approvals reject": "approval.decide",
    "cancel": "run.cancel",
    "create": "backup.create",
    "adopt": "backup.adopt",
    "emergency": "emergency.create",
    "read-only release": "emergency.release",
    "verify": "backup.verify",
    "pitr verify": "backup.verify",
    "restore-test": "restore.test",
    "restore": "restore.database",
    "compare": "compare",
    "copy": "backup.copy",
    "download": "backup.download",
    "compress": "backup.compress",
    "archive": "backup.archive",
    "thaw": "backup.thaw",
    "cleanup": "retention.plan",
    "delete": "backup.delete",
    "pin": "backup.pin",
    "unpin": "backup.unpin",
    "rebuild": "catalog.rebuild",
    "forget-storage": "catalog.rebuild",
    "janitor": "janitor.look",
    "decrypt": "backup.decrypt",
    "schedule set": "schedule.change",
    "schedule pause": "schedule.change",
    "schedule resume": "schedule.change",
    "schedule run": "schedule.run",
    "alert ack": "alert.acknowledge",
    "alert test": "alert.test",
    "alert check": "alert.test",
    "review note": "review.write",
    "review actions add": "review.write",
    "review actions done": "review.write",
    "review actions change": "review.write",
    "pitr setup": "pitr.setup",
    "pitr base-backup": "base.create",
    "pitr restore-test": "point.test",
    "pitr restore": "point.restore",
    **dict.fromkeys(
        ("people list", "people add", "people set-role", "people disable", "people enable", "people release"),
        "people.change",
    ),
    **dict.fromkeys(
        (
            "doctor", "keygen", "encrypt", "simulate", "serve", "worker", "dashboard", "migrate",
            "pitr wal-push", "pitr wal-fetch",
        ),
        None,
    ),
}  # fmt: skip
"""The least that each line of ``backups`` needs: asked for before it begins. None: what a service or a server starts,
what comes before anybody can be looked up, and what touches no backup. What options ask for beyond that
(``cleanup --apply``) is asked for where it is carried out."""
