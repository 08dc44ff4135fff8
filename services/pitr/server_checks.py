"""What is to be said of a server's settings, slots and rights for point in time. Pure: facts in, checks out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from services.pitr import remedies as mend
from services.pitr.our_command import OUR_COMMAND, OurCommand
from services.pitr.railway import check_railway, is_railways_archiver
from services.pitr.remedies import Remedy
from services.pitr.server_facts import ServerFacts, Slot
from services.pitr.status_check import StatusCheck
from services.postgres.connection import Address
from services.settings.model import DatabaseSettings
from services.units import format_bytes, format_duration

ARCHIVE_TIMEOUT = timedelta(seconds=60)
KEEP_SIZE = "10GB"


def check_server(
    database: DatabaseSettings, address: Address, facts: ServerFacts, *, refused: str | None, command: OurCommand
) -> list[StatusCheck]:
    """Given what a server says, return what is to be said of it. Pure.

    ``refused``: why replication is not let in; ``command``: what the server should archive by.
    """
    receives = database.pitr.method == "receiver"
    checks = [_wal_level(facts), _role(facts), _replication(address, facts, refused), _senders(facts)]
    if receives:
        checks += [_slot(database, facts), _keep_size(facts), *_idle_timeout(facts)]
    else:
        checks += [_archive_command(facts, command), _archive_mode(facts)]
    checks.append(_archive_timeout(database, facts))
    if not receives:
        checks.append(_archiver(facts))
    checks += [*_other_slots(database, facts), *_standby(facts, receives)]
    checks += [*_summaries(facts), *check_railway(address, facts, refused=refused is not None)]
    return checks


def _wal_level(facts: ServerFacts) -> StatusCheck:
    level = facts.settings.get("wal_level", "")
    if level == "minimal":
        return StatusCheck(
            "wal_level", "blocking", "wal_level is minimal: the log does not hold what recovery needs.",
            remedy=mend.alter_system("wal_level", "replica", then="restart"),
        )  # fmt: skip
    return StatusCheck("wal_level", "ok", f"wal_level is {level}.")


def _archive_mode(facts: ServerFacts) -> StatusCheck:
    mode = facts.settings.get("archive_mode", "")
    if mode == "off":
        return StatusCheck(
            "archive_mode", "blocking", "archive_mode is off: the server archives nothing.",
            "Set archive_command first: without one the server keeps all of its log.",
            mend.alter_system("archive_mode", "on", then="restart"),
        )  # fmt: skip
    return StatusCheck("archive_mode", "ok", f"archive_mode is {mode}.")


def _archive_command(facts: ServerFacts, wanted: OurCommand) -> StatusCheck:
    command = facts.settings.get("archive_command", "")
    library = facts.settings.get("archive_library", "")
    ours = mend.alter_system("archive_command", wanted.text)
    how = (
        f"{wanted.to_replace} Try it by hand first, as the user that the server runs as, who has to be able to read "
        "the settings, with the path of a segment instead of %p."
    ).lstrip()
    if library:
        return StatusCheck(
            "archive_command", "blocking", f"The server archives by the module {library}, not by archive_command.",
            "Let one of the two archive: empty archive_library, or leave point in time to that module.",
            mend.alter_system("archive_library", ""),
        )  # fmt: skip
    if command in ("", "(disabled)"):
        return StatusCheck("archive_command", "blocking", "archive_command is not set.", how, ours)
    if OUR_COMMAND not in command:
        whose = "pgBackRest" if "pgbackrest" in command else "WAL-G" if "wal-g" in command else "another program"
        hint = "" if is_railways_archiver(command) else how
        return StatusCheck(
            "archive_command", "blocking", f"The server archives by {whose}: {command}",
            "A server has one archive_command. Leave it, and use method = \"receiver\" here; or replace it. " + hint,
            ours,
        )  # fmt: skip
    return StatusCheck("archive_command", "ok", f"archive_command is: {command}")


def _archiver(facts: ServerFacts) -> StatusCheck:
    archiver = facts.archiver
    if archiver.is_failing:
        assert archiver.last_failed_at is not None, "is_failing looks at it"
        return StatusCheck(
            "archiver", "blocking",
            f"Archiving fails: {archiver.last_failed_wal} at {archiver.last_failed_at:%Y-%m-%d %H:%M:%S} "
            f"({archiver.failed_count:,} failures). The server keeps its log until it is archived.",
            "The server's log has what the command said. Run it by hand as the server's user.",
        )  # fmt: skip
    if archiver.last_archived_at is None:
        return StatusCheck(
            "archiver", "warning", "Nothing was archived yet.",
            "Once archive_mode is on and the server was restarted, end a segment:",
            Remedy(("SELECT pg_switch_wal();",)),
        )  # fmt: skip
    return StatusCheck(
        "archiver", "ok",
        f"{archiver.archived_count:,} archived, the last at {archiver.last_archived_at:%Y-%m-%d %H:%M:%S}.",
    )  # fmt: skip


def _archive_timeout(database: DatabaseSettings, facts: ServerFacts) -> StatusCheck:
    seconds = _seconds(facts.settings.get("archive_timeout", "0"))
    remedy = mend.alter_system("archive_timeout", f"{ARCHIVE_TIMEOUT.seconds}s")
    if seconds == 0:
        return StatusCheck(
            "archive_timeout", "warning",
            "archive_timeout is 0: on a quiet server what was committed last stays out of the archive for hours.",
            remedy=remedy,
        )  # fmt: skip
    if seconds > database.pitr.rpo.total_seconds():
        return StatusCheck(
            "archive_timeout", "warning",
            f"archive_timeout is {format_duration(seconds)}, and the RPO {format_duration(database.pitr.rpo)}.",
            remedy=remedy,
        )  # fmt: skip
    return StatusCheck("archive_timeout", "ok", f"archive_timeout is {format_duration(seconds)}.")


def _role(facts: ServerFacts) -> StatusCheck:
    if facts.may_replicate:
        return StatusCheck("replication right", "ok", f"{facts.user} may open replication connections.")
    return StatusCheck(
        "replication right", "blocking",
        f"{facts.user} may not open replication connections, which base backups and the receiver need.",
        "A superuser has to grant it.", mend.may_replicate(facts.user),
    )  # fmt: skip


def _replication(address: Address, facts: ServerFacts, refused: str | None) -> StatusCheck:
    if refused is None:
        return StatusCheck("pg_hba.conf", "ok", "A replication connection was let in from here.")
    if not facts.may_replicate and "pg_hba" not in refused:  # the server looks at pg_hba.conf before it looks at rights
        return StatusCheck(
            "pg_hba.conf", "warning",
            f"Not known yet: a replication connection is refused, since {facts.user} has no replication right.",
            "Grant the right, then look again.",
        )  # fmt: skip
    remedy = mend.let_in(address, facts.user, facts.settings.get("hba_file", "")) if "pg_hba" in refused else None
    return StatusCheck(
        "pg_hba.conf", "blocking", f"A replication connection is refused: {refused}.",
        "`all` in the database column of pg_hba.conf does not mean replication." if remedy else "", remedy,
    )  # fmt: skip


def _senders(facts: ServerFacts) -> StatusCheck:
    senders = facts.settings.get("max_wal_senders", "")
    if senders == "0":
        return StatusCheck(
            "max_wal_senders", "blocking", "max_wal_senders is 0: no base backup, no receiver.",
            remedy=mend.alter_system("max_wal_senders", "10", then="restart"),
        )  # fmt: skip
    return StatusCheck("max_wal_senders", "ok", f"max_wal_senders is {senders}.")


def _slot(database: DatabaseSettings, facts: ServerFacts) -> StatusCheck:
    name = database.pitr.slot
    slot = facts.slot(name)
    if facts.settings.get("max_replication_slots") == "0":
        return StatusCheck(
            "slot", "blocking", "max_replication_slots is 0.",
            remedy=mend.alter_system("max_replication_slots", "10", then="restart"),
        )  # fmt: skip
    if slot is None:
        return StatusCheck(
            "slot", "blocking", f"There is no slot {name}: what the receiver misses, the server does not keep.",
            remedy=mend.make_slot(name),
        )  # fmt: skip
    if slot.type != "physical":
        return StatusCheck(
            "slot", "blocking", f"{name} is a logical slot.", "Name another one: slot in [databases.pitr]."
        )
    if slot.wal_status == "lost":
        drop, make = mend.drop_slot(name), mend.make_slot(name)
        return StatusCheck(
            "slot", "blocking", f"The slot {name} is lost: the server removed log that the receiver had not got.",
            "There is a gap now. Make the slot anew and take a base backup.",
            Remedy(drop.statements + make.statements),
        )  # fmt: skip
    return _slot_in_use(database, slot)


def _slot_in_use(database: DatabaseSettings, slot: Slot) -> StatusCheck:
    lag, limit = slot.lag_bytes or 0, database.pitr.slot_lag
    held = f"The slot {slot.name} holds back {format_bytes(lag)}"
    if lag > limit or slot.wal_status == "unreserved":
        return StatusCheck(
            "slot", "warning", f"{held}, the limit is {format_bytes(limit)}.",
            "Does a worker run, and does the storage take what it receives?",
        )  # fmt: skip
    return StatusCheck("slot", "ok", f"{held}, up to what is stored.")


def _idle_timeout(facts: ServerFacts) -> Iterator[StatusCheck]:
    """PostgreSQL 18 can end slots through which nobody streams, as nobody does through ours."""
    limit = facts.settings.get("idle_replication_slot_timeout", "0")
    if limit != "0":
        yield StatusCheck(
            "idle_replication_slot_timeout", "warning",
            f"idle_replication_slot_timeout is {limit}: a quiet server ends the slot, and the archive has a gap.",
            remedy=mend.alter_system("idle_replication_slot_timeout", "0"),
        )  # fmt: skip


def _keep_size(facts: ServerFacts) -> StatusCheck:
    limit = facts.settings.get("max_slot_wal_keep_size", "-1")
    if limit == "-1":
        return StatusCheck(
            "max_slot_wal_keep_size", "warning",
            "max_slot_wal_keep_size is -1: while no receiver runs, the slot fills the server's disk.",
            "With a limit the server goes on, and the archive has a gap instead.",
            mend.alter_system("max_slot_wal_keep_size", KEEP_SIZE),
        )  # fmt: skip
    return StatusCheck("max_slot_wal_keep_size", "ok", f"max_slot_wal_keep_size is {limit}.")


def _other_slots(database: DatabaseSettings, facts: ServerFacts) -> Iterator[StatusCheck]:
    for slot in facts.slots:
        ours = database.pitr.method == "receiver" and slot.name == database.pitr.slot
        if not ours and not slot.active and (slot.lag_bytes or 0) > database.pitr.slot_lag:
            yield StatusCheck(
                "other slots", "warning",
                f"Nobody reads from the slot {slot.name}, which holds back {format_bytes(slot.lag_bytes or 0)}.",
                "Drop it, if nobody will:", mend.drop_slot(slot.name),
            )  # fmt: skip


def _standby(facts: ServerFacts, receives: bool) -> Iterator[StatusCheck]:
    if facts.in_recovery and not receives and facts.settings.get("archive_mode") != "always":
        yield StatusCheck(
            "standby", "warning", "The server is a standby, and archives nothing while it is one.",
            "Name the primary in the settings, or set:", mend.alter_system("archive_mode", "always", then="restart"),
        )  # fmt: skip


def _summaries(facts: ServerFacts) -> Iterator[StatusCheck]:
    on = facts.settings.get("summarize_wal")
    if on == "off":
        yield StatusCheck(
            "summarize_wal", "ok", "summarize_wal is off: every base backup is a full one.",
            "For incremental ones:", mend.alter_system("summarize_wal", "on"),
        )  # fmt: skip
    elif on is not None:
        yield StatusCheck("summarize_wal", "ok", "summarize_wal is on: base backups may be incremental.")


_UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}


def _seconds(shown: str) -> float:
    """Given ``1min`` as ``SHOW`` says it, return seconds."""
    number = shown.rstrip("abcdefghijklmnopqrstuvwxyz")
    return float(number or 0) * _UNITS.get(shown[len(number) :], 1)
