"""Alerts in the catalogue: written once, with their messages, whoever looks, on both engines."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from services import commands
from services.alerts.evaluate import EVERY, evaluate
from services.alerts.store import HistoryQuery, count_open, forget_old, history, open_alerts
from services.alerts.watch import AlertWatch
from services.catalog.duties import claim_duty
from services.catalog.model import Backup, Run
from services.errors import InputError, UnknownName
from services.installation import Installation
from services.notify.deliver import deliver_due
from services.notify.outbox import recent_messages
from tests.catalog.rows import make_backup, make_verification
from tests.support.sinks import MailServer, WebServer
from tests.support.time import TestClock


def look(inst: Installation) -> list[str]:
    found = evaluate(inst, by="test", force=True)
    assert found is not None
    deliver_due(inst)
    return [step.step for step in found.transitions if step.tells]


def back_up(inst: Installation, clock: TestClock, name: str = "b1", **changes: Any) -> Backup:
    """Add a backup that was just made, with a passed restore test, so that all is well."""
    now = clock()
    backup = make_backup(name, finished_at=now, snapshot_at=now - timedelta(seconds=19), **changes)
    inst.catalog.backups.add(backup)
    inst.catalog.verifications.add(make_verification(backup, "restore", "passed", at=now))
    return backup


def keys(inst: Installation) -> list[str]:
    return [alert.key for alert in open_alerts(inst.catalog.engine)]


def test_an_alert_opens_reminds_and_resolves_with_a_message_each(
    inst: Installation, clock: TestClock, mail: MailServer, web: WebServer
) -> None:
    back_up(inst, clock)
    assert look(inst) == []
    clock.forward(hours=29)
    assert look(inst) == ["open"]
    clock.forward(minutes=1)
    assert look(inst) == []
    clock.forward(days=1)
    assert look(inst) == ["remind"]
    back_up(inst, clock, "b2")
    assert look(inst) == [], "the hold is running"
    clock.forward(minutes=5)
    assert look(inst) == ["resolve"]
    assert keys(inst) == []
    about = "la_factoria: No recent backup"
    assert mail.subjects == [f"[WARNING] {about}", f"[WARNING] {about} (reminder)", f"[RESOLVED] {about}"]
    assert [json.loads(request.body)["title"] for request in web.requests] == mail.subjects
    body = mail.mails[0].get_content()
    assert "Last good backup 29 h ago · RPO 28 h · breached 60 min ago" in body
    assert "noticed at 2026-11-23 17:00:00 UTC" in body
    assert "What to do: Run one now." in body
    assert "backups alert ack" in body
    resolved = mail.mails[2].get_content()
    assert "Well again: Last good backup" in resolved
    assert "after 1 d 00 h" in resolved
    assert "Acknowledge" not in resolved
    assert len({mail["References"] for mail in mail.mails}) == 1, "one conversation"


def test_something_that_flaps_is_said_once(inst: Installation, clock: TestClock, mail: MailServer) -> None:
    back_up(inst, clock)
    clock.forward(hours=29)
    look(inst)
    for number in range(5):
        fresh = make_backup(f"flap{number}", finished_at=clock(), snapshot_at=clock())
        inst.catalog.backups.add(fresh)
        clock.forward(minutes=2)
        look(inst)
        inst.catalog.backups.set_copy_state(fresh.id, "primary", "deleted", checked_at=clock())
        clock.forward(minutes=2)
        look(inst)
    assert mail.subjects == ["[WARNING] la_factoria: No recent backup"]


def test_an_acknowledged_alert_is_silent_until_it_resolves_or_gets_worse(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    back_up(inst, clock)
    clock.forward(hours=29)
    look(inst)
    [alert] = open_alerts(inst.catalog.engine)
    with pytest.raises(InputError, match="note is needed"):
        commands.acknowledge_alert(inst, alert.id, note=" ", actor="ada")
    commands.acknowledge_alert(inst, alert.id, note="the disk is being\nreplaced", actor="ada")
    clock.forward(hours=47)
    assert look(inst) == []
    inst.catalog.backups.set_copy_state("id-b1", "primary", "deleted", checked_at=clock())
    assert "worse" in look(inst)
    worse = open_alerts(inst.catalog.engine)[0]
    assert (worse.severity, worse.acknowledged_at, worse.note) == ("failure", None, "")
    clock.forward(days=1)
    assert "remind" in look(inst)
    commands.acknowledge_alert(inst, worse.id, note="ordered", actor="bob")
    back_up(inst, clock, "b2")
    look(inst)
    clock.forward(minutes=6)
    assert look(inst) == ["resolve"]
    assert "Acknowledged by bob: ordered" in mail.mails[-1].get_content()
    with pytest.raises(InputError, match="has resolved"):
        commands.acknowledge_alert(inst, worse.id, note="late", actor="ada")
    with pytest.raises(UnknownName):
        commands.acknowledge_alert(inst, "nothing", note="x", actor="ada")


def test_of_many_that_look_at_once_one_writes_and_each_message_is_sent_once(
    inst: Installation, clock: TestClock, mail: MailServer, web: WebServer
) -> None:
    back_up(inst, clock)
    clock.forward(hours=29)
    errors: list[BaseException] = []

    def work(number: int, force: bool) -> None:
        try:
            evaluate(inst, by=f"worker {number}", force=force)
            deliver_due(inst)
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    for force in (False, True):
        threads = [threading.Thread(target=work, args=(number, force)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
    assert len(history(inst.catalog.engine, HistoryQuery())) == 1
    assert (len(mail.mails), len(web.requests)) == (1, 1)


def test_a_duty_is_taken_by_one_and_no_wrong_clock_keeps_it(inst: Installation, clock: TestClock) -> None:
    engine = inst.catalog.engine
    results: list[bool] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(claim_duty(engine, "x", by="w", every=EVERY, now=clock())),
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(results) == 1
    assert not claim_duty(engine, "x", by="w", every=EVERY, now=clock() + timedelta(seconds=44))
    assert claim_duty(engine, "x", by="w", every=EVERY, now=clock() + timedelta(days=365))
    assert claim_duty(engine, "x", by="w", every=EVERY, now=clock()), "dated a year ahead: a clock was wrong"


def test_an_older_view_changes_nothing_after_a_newer_one(inst: Installation, clock: TestClock) -> None:
    from services.alerts.evaluate import apply
    from services.health.checks import examine

    back_up(inst, clock)
    clock.forward(hours=29)
    late = examine(inst)
    clock.forward(seconds=30)
    back_up(inst, clock, "b2")
    look(inst)
    assert apply(inst, late, {}) == ()
    assert keys(inst) == []


def damage(inst: Installation, backup: Backup, clock: TestClock, level: str = "checksum", **changes: Any) -> str:
    found = make_verification(backup, level, "failed", at=clock.forward(minutes=1), **changes)
    inst.catalog.verifications.add(found)
    inst.catalog.backups.set_copy_state(backup.id, "primary", "damaged", checked_at=clock())
    return found.id


def test_old_alerts_and_messages_are_forgotten_and_what_is_open_or_waits_is_kept(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    back_up(inst, clock)
    clock.forward(hours=29)
    assert look(inst) == ["open"]
    back_up(inst, clock, "b2")
    look(inst)
    clock.forward(minutes=5)
    assert look(inst) == ["resolve"]
    engine = inst.catalog.engine
    assert forget_old(engine, clock.forward(days=89)) == (0, 0)
    mail.stop()
    opened = look(inst)
    assert set(opened) == {"open"}
    fresh = [message for message in recent_messages(engine) if message.created_at == clock()]
    assert {message.state for message in fresh} == {"waiting", "sent"}
    alerts, messages = forget_old(engine, clock.forward(days=2))
    assert (alerts, messages > 0) == (0, True)
    assert recent_messages(engine) == fresh
    assert len(history(engine, HistoryQuery())) == 1 + len(opened)
    assert forget_old(engine, clock.forward(days=700))[0] == 1
    assert [alert.resolved_at for alert in history(engine, HistoryQuery())] == [None] * len(opened)


def test_a_count_that_goes_down_and_up_again_is_no_news(inst: Installation, clock: TestClock) -> None:
    first, second = back_up(inst, clock, "one"), back_up(inst, clock, "two")
    back_up(inst, clock, "three")
    damage(inst, first, clock)
    damage(inst, second, clock)
    assert look(inst) == ["open"]
    [alert] = open_alerts(inst.catalog.engine)
    commands.acknowledge_alert(inst, alert.id, note="known", actor="ada")
    inst.catalog.backups.set_copy_state(second.id, "primary", "stored", checked_at=clock())
    inst.catalog.verifications.add(make_verification(second, "archive", "passed", at=clock.forward(minutes=1)))
    look(inst)
    damage(inst, second, clock)
    assert "worse" not in look(inst)
    noted = {alert.check: alert.note for alert in open_alerts(inst.catalog.engine)}
    assert noted["corruption"] == "known"


def test_a_damaged_backup_starts_a_new_one_at_once_and_only_once(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    back_up(inst, clock, "older")
    backup = back_up(inst, clock, "newest")
    damage(inst, backup, clock)
    assert look(inst) == ["open"]
    [run] = inst.catalog.runs.list(kind="backup")
    assert (run.actor, run.state, run.database) == ("alerts", "queued", "la_factoria")
    assert run.params["note"] == "Started by itself: newest failed its checksum check in primary."
    assert mail.subjects == ["[FAILURE] la_factoria: Corruption found"]
    assert f"A new backup was queued at once: run {run.id}." in mail.mails[0].get_content()
    for _ in range(3):
        clock.forward(minutes=1)
        look(inst)
    damage(inst, backup, clock, "archive")  # verified again: the same backup is still bad
    look(inst)
    AlertWatch(inst, by="another worker", heartbeat=False).tick()
    assert [each.id for each in inst.catalog.runs.list(kind="backup")] == [run.id]


def test_damage_that_a_restore_test_meets_starts_a_new_backup_too(inst: Installation, clock: TestClock) -> None:
    """The restore test is the deepest check, and the one that is scheduled by default."""
    backup = back_up(inst, clock)
    damage(inst, backup, clock, "restore", detail={"copy_state": "damaged", "scope": "copy"})
    look(inst)
    [run] = inst.catalog.runs.list(kind="backup")
    assert run.params["note"] == "Started by itself: b1 failed its restore check in primary."
    clock.forward(minutes=1)
    look(inst)
    damage(inst, backup, clock)
    look(inst)
    assert [each.id for each in inst.catalog.runs.list(kind="backup")] == [run.id]


def test_a_damaged_base_backup_starts_a_base_backup_and_none_of_the_database(
    inst: Installation, clock: TestClock
) -> None:
    back_up(inst, clock)
    base = make_backup("base_one", finished_at=clock(), type="base", physical={})
    inst.catalog.backups.add(base)
    damage(inst, base, clock)
    look(inst)
    [run] = inst.catalog.runs.list(kind="base_backup")
    assert (run.actor, run.state, run.reason) == ("alerts", "queued", "base_one is damaged")
    look(inst)
    assert [each.id for each in inst.catalog.runs.list(kind="base_backup")] == [run.id]
    assert inst.catalog.runs.list(kind="backup") == []


def test_a_restore_test_that_fails_for_another_reason_says_nothing_of_the_stored_bytes(
    inst: Installation, clock: TestClock
) -> None:
    backup = back_up(inst, clock)
    failed = make_verification(backup, "restore", "failed", at=clock.forward(minutes=1), detail={"scope": "backup"})
    inst.catalog.verifications.add(failed)
    look(inst)
    assert inst.catalog.runs.list(kind="backup") == []


def test_a_second_damaged_backup_is_said_though_the_first_was_acknowledged(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    first, second = back_up(inst, clock, "one"), back_up(inst, clock, "two")
    back_up(inst, clock, "three")
    damage(inst, first, clock)
    look(inst)
    [alert] = open_alerts(inst.catalog.engine)
    commands.acknowledge_alert(inst, alert.id, note="known", actor="ada")
    damage(inst, second, clock)
    assert look(inst) == ["worse"]
    assert "2 kept backups are damaged" in mail.mails[-1].get_content()


@pytest.mark.parametrize(
    "changes",
    [{"adopted": True}, {"excluded": ("public.x",)}, {"trust": "untrusted"}, {"database": "elsewhere"},
     {"state": "expired"}],
    ids=["adopted", "partial", "untrusted", "of a database that is not ours", "expired"],
)  # fmt: skip
def test_nothing_is_started_for_what_was_no_whole_backup_of_ours(
    inst: Installation, clock: TestClock, changes: dict[str, Any]
) -> None:
    back_up(inst, clock)
    backup = make_backup("other", finished_at=clock(), **changes)
    inst.catalog.backups.add(backup)
    damage(inst, backup, clock)
    look(inst)
    assert inst.catalog.runs.list(kind="backup") == []


def test_nothing_is_started_for_a_failure_that_is_over_or_old(inst: Installation, clock: TestClock) -> None:
    backup = back_up(inst, clock)
    damage(inst, backup, clock)
    inst.catalog.verifications.add(make_verification(backup, "archive", "passed", at=clock.forward(minutes=1)))
    look(inst)
    assert inst.catalog.runs.list(kind="backup") == []
    damage(inst, backup, clock)
    clock.forward(days=2)
    look(inst)
    assert inst.catalog.runs.list(kind="backup") == []


def carry_out(inst: Installation, run: Run, clock: TestClock, name: str) -> Backup:
    """Have a queued backup run end with a backup of that name."""
    claim = inst.catalog.runs.claim(run.id, worker="host:1:1", now=clock())
    backup = make_backup(name, run_id=run.id, actor=run.actor, finished_at=clock(), snapshot_at=clock())
    inst.catalog.backups.add(backup)
    inst.catalog.runs.finish(claim, state="finished", now=clock())
    return backup


def test_on_a_storage_that_damages_what_it_is_given_one_backup_is_tried_and_the_alert_says_that_it_was_the_last(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    damage(inst, back_up(inst, clock), clock)
    look(inst)
    [run] = inst.catalog.runs.list(kind="backup")
    damage(inst, carry_out(inst, run, clock, "again"), clock)
    assert look(inst) == ["worse"]
    told = mail.mails[-1].get_content()
    assert "No further backup is started by itself: again was started so after damage, and is damaged as well." in told
    assert "Look at the storage primary, then take one yourself." in told
    for _ in range(30):
        clock.forward(hours=1)
        look(inst)
    assert [each.id for each in inst.catalog.runs.list(kind="backup")] == [run.id]


def test_at_most_one_backup_a_day_is_started_by_itself_whoever_took_the_damaged_ones(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    damage(inst, back_up(inst, clock), clock)
    look(inst)
    [run] = inst.catalog.runs.list(kind="backup")
    carry_out(inst, run, clock, "again")
    damage(inst, back_up(inst, clock, "by ada"), clock)
    assert look(inst) == ["worse"]
    assert f"run {run.id} was, at 2026-11-22" in mail.mails[-1].get_content()
    assert "at most one a day" in mail.mails[-1].get_content()
    clock.forward(hours=23)
    look(inst)
    assert [each.id for each in inst.catalog.runs.list(kind="backup")] == [run.id]
    clock.forward(hours=2)
    damage(inst, back_up(inst, clock, "by bob"), clock)
    look(inst)
    assert len(inst.catalog.runs.list(kind="backup")) == 2


def test_a_new_backup_that_cannot_be_started_is_said(inst: Installation, clock: TestClock, mail: MailServer) -> None:
    backup = back_up(inst, clock)
    inst.settings = inst.settings.model_copy(update={"recipients": ()})
    damage(inst, backup, clock)
    look(inst)
    said = next(m.get_content() for m in mail.mails if "Corruption" in m["Subject"])
    assert "A new backup could not be started by itself: The backup is to be encrypted" in said


def test_a_test_message_says_per_channel_what_happened(inst: Installation, mail: MailServer, web: WebServer) -> None:
    web.status = 500
    found = commands.send_test_messages(inst, actor="ada")
    assert [(test.channel, test.accepted) for test in found] == [
        ("e-mail to ops@example.com", True), ("json to 127.0.0.1", False)
    ]  # fmt: skip
    assert "500" in found[1].error
    assert mail.subjects == ["[TEST] Backups: this channel works"]
    assert {message.state for message in recent_messages(inst.catalog.engine)} == {"sent", "given up"}
    inst.settings = inst.settings.model_copy(update={"alerts": type(inst.settings.alerts)()})
    with pytest.raises(InputError, match="no channel to test"):
        commands.send_test_messages(inst, actor="ada")


def test_open_alerts_are_counted_by_severity(inst: Installation, clock: TestClock) -> None:
    look(inst)
    assert count_open(inst.catalog.engine) == {"failure": 1}


def test_many_alerts_at_once_are_one_message_and_what_follows_waits_for_it(
    inst: Installation, clock: TestClock, mail: MailServer, web: WebServer
) -> None:
    names = [f"db{number}" for number in range(8)]
    databases = tuple(inst.settings.databases[0].model_copy(update={"name": name}) for name in names)
    inst.settings = inst.settings.model_copy(update={"databases": databases})
    mail.stop()
    assert look(inst) == ["open"] * 8
    [posted] = web.requests
    assert json.loads(posted.body)["title"] == "[FAILURE] 8 alerts: 8 failed"
    assert json.loads(posted.body)["message"].count("backups alert ack") == 8
    back_up(inst, clock, "b", database="db3")
    clock.forward(minutes=1)
    look(inst)
    clock.forward(minutes=6)
    mail.start()
    evaluate(inst, by="test", force=True)
    for _ in range(3):
        clock.forward(minutes=1)
        deliver_due(inst)
    assert mail.subjects == ["[FAILURE] 8 alerts: 8 failed", "[RESOLVED] db3: No recent backup"]
    assert "[FAILURE] db3: No recent backup" in mail.mails[0].get_content()
    for name in names:
        back_up(inst, clock, f"again-{name}", database=name)
    look(inst)
    clock.forward(minutes=6)
    assert set(look(inst)) == {"resolve"}
    assert mail.subjects[-1] == "[RESOLVED] 7 alerts: 7 resolved"
