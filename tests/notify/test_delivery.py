"""Delivery to a real SMTP server and a real HTTP endpoint that are away, slow, refusing, or killed in the middle."""

from __future__ import annotations

import json
import logging
import threading
from datetime import timedelta

import pytest
from apprise.plugins.custom_json import NotifyJSON
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from services.health.checks import examine
from services.installation import Installation
from services.notify import by_apprise, deliver, outbox
from services.notify import mail as smtp
from services.notify.channels import channel_labels, masked
from services.notify.deliver import deliver_due
from services.notify.outbox import REFUSED, Message, add_messages, recent_messages
from services.settings.model import AlertSettings
from tests.alerts.conftest import SECRET
from tests.support.sinks import MailServer, WebServer, mail_server
from tests.support.time import TestClock

MAIL, WEB = "e-mail to ops@example.com", "json to 127.0.0.1"


def write(inst: Installation, subject: str = "hello", **more: object) -> None:
    values: dict[str, object] = {"alert_id": None, "event": "opened", "number": 1, "severity": "failure",
                                 "body": f"body of {subject}"}  # fmt: skip
    with inst.catalog.engine.begin() as connection:
        add_messages(connection, channel_labels(inst.settings.alerts), subject=subject,
                     now=inst.clock(), **(values | more))  # type: ignore[arg-type]  # fmt: skip


def states(inst: Installation) -> dict[str, str]:
    return {message.channel: message.state for message in recent_messages(inst.catalog.engine)}


def error(inst: Installation, channel: str) -> str:
    return next(m.error for m in recent_messages(inst.catalog.engine) if m.channel == channel)


def with_alerts(inst: Installation, **changes: object) -> None:
    inst.settings = inst.settings.model_copy(update={"alerts": inst.settings.alerts.model_copy(update=changes)})


def test_a_message_is_delivered_once_to_each_channel(inst: Installation, mail: MailServer, web: WebServer) -> None:
    write(inst, "naïve – 試験")
    assert deliver_due(inst).sent == 2
    assert deliver_due(inst).sent == 0
    [mailed], [posted] = mail.mails, web.requests
    assert (mailed["Subject"], mailed.get_content().strip()) == ("naïve – 試験", "body of naïve – 試験")
    assert json.loads(posted.body)["title"] == "naïve – 試験"
    assert states(inst) == {MAIL: "sent", WEB: "sent"}
    assert mailed["Auto-Submitted"] == "auto-generated"
    ids = {message.channel: message.id for message in recent_messages(inst.catalog.engine)}
    assert mailed["Message-ID"] == f"<backups-{ids[MAIL]}@127.0.0.1>"
    assert posted.headers["Idempotency-Key"] == f"backups-{ids[WEB]}"


def test_a_mail_server_that_is_down_for_an_hour_loses_nothing_and_sends_nothing_twice(
    inst: Installation, clock: TestClock, mail: MailServer, web: WebServer
) -> None:
    mail.stop()
    expected = []
    for minute in range(60):
        if minute % 10 == 0:
            write(inst, f"at {minute}")
            expected.append(f"at {minute}")
        deliver_due(inst)
        clock.forward(minutes=1)
    assert mail.mails == []
    assert [json.loads(request.body)["title"] for request in web.requests] == expected, "the other channel goes on"
    waiting = [m for m in recent_messages(inst.catalog.engine) if m.channel == MAIL]
    assert {message.state for message in waiting} == {"waiting"}
    assert "cannot be reached" in waiting[0].error
    assert max(message.attempts for message in waiting) <= 9, "it backs off"
    mail.start()
    for _ in range(30):
        deliver_due(inst)
        clock.forward(minutes=1)
    assert sorted(mail.subjects) == sorted(expected)
    assert states(inst) == {MAIL: "sent", WEB: "sent"}
    assert len(web.requests) == len(expected)


def test_a_channel_that_is_away_with_hundreds_of_messages_does_not_starve_the_others(
    inst: Installation, clock: TestClock, mail: MailServer, web: WebServer
) -> None:
    mail.stop()
    both = inst.settings
    with_alerts(inst, urls=())
    for number in range(250):
        write(inst, f"old {number}")
    inst.settings = both
    clock.forward(minutes=1)
    write(inst, "new")
    deliver_due(inst)
    assert [json.loads(request.body)["title"] for request in web.requests] == ["new"]


def test_a_message_about_several_alerts_that_is_refused_holds_back_the_later_ones_for_an_hour_at_most(
    inst: Installation, clock: TestClock, web: WebServer
) -> None:
    web.status = 500
    write(inst, "six alerts", event="several", number=0)
    deliver_due(inst)
    clock.forward(minutes=1)
    write(inst, "a later one")
    deliver_due(inst)
    asked = [json.loads(request.body)["title"] for request in web.requests]
    assert set(asked) == {"six alerts"}, "it may be about the same alert"
    clock.forward(hours=1)
    deliver_due(inst)  # the older is refused again, which leaves the channel alone for this round
    clock.forward(minutes=1)
    deliver_due(inst)
    assert json.loads(web.requests[-1].body)["title"] == "a later one"


def test_a_message_that_was_written_by_a_clock_ahead_is_sent_when_the_clock_is_right_again(
    inst: Installation, clock: TestClock, web: WebServer
) -> None:
    right = clock.now
    clock.forward(days=365)
    write(inst)
    web.status = 500
    deliver_due(inst)
    web.status = 204
    clock.now = right
    assert deliver_due(inst).sent >= 1
    assert states(inst)[WEB] == "sent"


def test_a_slow_server_takes_no_longer_than_its_time_before_the_checks_are_looked_at_again(
    inst: Installation, web: WebServer
) -> None:
    with_alerts(inst, email=())
    for number in range(5):
        write(inst, f"{number}")
    spent = iter([0.0, 0.0, 20.0, 40.0])  # at the begin, and before each message
    assert deliver_due(inst, within=timedelta(seconds=30), elapsed=lambda: next(spent)).sent == 2
    assert deliver_due(inst).sent == 3
    assert sorted(json.loads(request.body)["title"] for request in web.requests) == ["0", "1", "2", "3", "4"]


def test_a_text_that_is_too_long_for_a_service_goes_out_in_pieces(
    inst: Installation, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is, the service would refuse it again and again."""
    monkeypatch.setattr(NotifyJSON, "body_maxlen", 200)
    monkeypatch.setattr(NotifyJSON, "title_maxlen", 50)
    with_alerts(inst, email=())
    words = [f"word{number:03}" for number in range(100)]
    write(inst, "long", body=" ".join(words))
    assert deliver_due(inst).sent == 1
    bodies = [json.loads(request.body)["message"] for request in web.requests]
    assert len(bodies) > 1
    assert max(map(len, bodies)) <= 200
    assert " ".join(bodies).split() == words


@pytest.mark.parametrize(("answer", "pause"), [("451 try later", 60), ("554 no", 15 * 60)])
def test_a_mail_that_is_refused_is_tried_again_and_the_reason_is_kept(
    inst: Installation, clock: TestClock, mail: MailServer, answer: str, pause: int
) -> None:
    mail.answer = answer
    write(inst)
    deliver_due(inst)
    assert answer in error(inst, MAIL)
    mail.answer = "250 OK"
    clock.forward(seconds=pause - 1)
    deliver_due(inst)
    assert mail.mails == []
    clock.forward(seconds=1)
    deliver_due(inst)
    assert (len(mail.mails), mail.attempts) == (1, 2)


def test_an_endpoint_that_answers_500_is_tried_again(inst: Installation, clock: TestClock, web: WebServer) -> None:
    web.status = 500
    write(inst)
    for pause in (1, 2, 4, 8, 15, 15):
        assert deliver_due(inst).failed == 1
        clock.forward(minutes=pause)
    assert len(web.requests) == 6
    assert "500" in error(inst, WEB)
    web.status = 204
    assert deliver_due(inst).sent == 1
    keys = {request.headers["Idempotency-Key"] for request in web.requests}
    assert len(keys) == 1, "each attempt has the same key"


@pytest.mark.parametrize(("status", "for_good"), [(403, True), (404, True), (429, False), (503, False)])
def test_what_is_refused_for_good_is_told_at_once_and_what_may_pass_is_given_time(
    inst: Installation, clock: TestClock, web: WebServer, status: int, for_good: bool
) -> None:
    web.status = status
    write(inst)
    deliver_due(inst)
    assert error(inst, WEB).startswith(REFUSED) is for_good
    [found] = [check for check in examine(inst).checks if check.name == "notifications"]
    assert found.severity == ("failure" if for_good else "ok")
    web.status = 200
    clock.forward(minutes=15)
    assert deliver_due(inst).sent == 1, "mended, and nothing is lost"


def test_an_endpoint_that_does_not_answer_costs_its_time_limit_once(
    inst: Installation, clock: TestClock, mail: MailServer, web: WebServer
) -> None:
    web.hold.clear()
    for number in range(3):
        write(inst, f"slow {number}")
    done = deliver_due(inst)
    assert (done.sent, done.failed) == (3, 1), "the mails went out; one attempt hung, the others wait their turn"
    assert len(web.requests) == 1
    web.hold.set()
    clock.forward(minutes=2)
    assert deliver_due(inst).sent == 3


def test_a_mail_server_that_accepts_the_connection_and_says_nothing_is_left(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setattr(smtp, "CONNECT_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with_alerts(inst, smtp_url=SecretStr(f"smtp://127.0.0.1:{silent.getsockname()[1]}?tls=no"))
        write(inst)
        deliver_due(inst)
    assert "did not answer in time" in error(inst, MAIL)


def test_a_mail_server_that_drips_is_left_when_the_whole_limit_is_over(
    inst: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte would begin every other time limit anew."""
    import socket

    monkeypatch.setattr(smtp, "SEND_SECONDS", 0.5)
    ended = threading.Event()
    with socket.socket() as dripping:
        dripping.bind(("127.0.0.1", 0))
        dripping.listen()

        def drip() -> None:
            connection, _ = dripping.accept()
            with connection:
                connection.sendall(b"220 hi\r\n")
                while not ended.wait(0.05):
                    try:
                        connection.sendall(b"2")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        with_alerts(inst, smtp_url=SecretStr(f"smtp://127.0.0.1:{dripping.getsockname()[1]}?tls=no"))
        write(inst)
        deliver_due(inst)
        ended.set()
        thread.join(10)
    assert "did not answer in time, or hung up" in error(inst, MAIL)


def test_of_many_processes_each_message_is_sent_by_one(inst: Installation, mail: MailServer, web: WebServer) -> None:
    for number in range(5):
        write(inst, f"number {number}")
    threads = [threading.Thread(target=deliver_due, args=(inst,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(mail.subjects) == [f"number {n}" for n in range(5)]
    assert len(web.requests) == 5


def test_a_process_killed_before_it_sent_leaves_the_message_to_the_next(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    write(inst)
    for message in outbox.due(inst.catalog.engine, clock()):
        assert outbox.claim(inst.catalog.engine, message, clock())
        assert not outbox.claim(inst.catalog.engine, message, clock())
    assert deliver_due(inst).sent == 0
    clock.forward(minutes=3)
    assert deliver_due(inst).sent == 2
    assert len(mail.mails) == 1


def test_a_process_killed_between_sent_and_marked_sends_the_same_message_id_again(
    inst: Installation, clock: TestClock, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one moment in which something is sent twice; a receiver can tell by the Message-ID."""
    with_alerts(inst, urls=())
    write(inst)
    with monkeypatch.context() as killed:
        killed.setattr(deliver, "mark_sent", _killed)
        killed.setattr(deliver, "_accepted", set())
        with pytest.raises(KeyboardInterrupt):
            deliver_due(inst)
    clock.forward(minutes=3)
    deliver_due(inst)
    assert len(mail.mails) == 2
    assert len({mail["Message-ID"] for mail in mail.mails}) == 1


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_catalogue_that_is_away_when_a_server_has_accepted_makes_no_second_delivery(
    inst: Installation, clock: TestClock, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(inst)

    def away(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("away"))

    with monkeypatch.context() as broken:
        broken.setattr(deliver, "mark_sent", away)
        with pytest.raises(OperationalError):
            deliver_due(inst)
    clock.forward(minutes=10)
    deliver_due(inst)
    assert len(mail.mails) == 1
    assert states(inst)[MAIL] == "sent"


def test_nobody_reads_that_it_is_well_before_they_read_that_it_was_not(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    from services.alerts.evaluate import evaluate

    mail.stop()
    evaluate(inst, by="test", force=True)
    [opened] = [m for m in recent_messages(inst.catalog.engine) if m.channel == MAIL]
    deliver_due(inst)
    clock.forward(seconds=30)
    mail.start()
    write(inst, "resolved", alert_id=opened.alert_id, number=2, event="resolved")
    deliver_due(inst)
    assert mail.mails == [], "the first one waits for its next attempt, and the second for the first"
    clock.forward(minutes=1)
    deliver_due(inst)
    deliver_due(inst)
    assert mail.subjects == [opened.subject, "resolved"]


def test_a_message_is_given_up_after_three_days_and_one_for_a_channel_that_is_gone_at_once(
    inst: Installation, clock: TestClock, mail: MailServer
) -> None:
    mail.stop()
    write(inst)
    clock.forward(days=3)
    deliver_due(inst)
    assert states(inst)[MAIL] == "given up"
    write(inst, "second")
    with_alerts(inst, email=(), urls=())
    deliver_due(inst)
    assert {m.error for m in recent_messages(inst.catalog.engine) if m.subject == "second"} == {
        "This channel is no longer in the settings."
    }


def test_a_wrong_password_is_said_and_not_shown(inst: Installation) -> None:
    with mail_server(password="the-right-one-77") as server:
        with_alerts(inst, smtp_url=SecretStr(f"smtp://ops:planted-wrong-1@127.0.0.1:{server.port}?tls=no"))
        write(inst)
        deliver_due(inst)
        assert "refuses the user name or password" in error(inst, MAIL)
        assert "planted-wrong-1" not in error(inst, MAIL)
        with_alerts(inst, smtp_url=SecretStr(f"smtp://ops:the-right-one-77@127.0.0.1:{server.port}?tls=no"))
        write(inst, "again")
        deliver_due(inst)
        assert server.subjects == ["again"]


def test_a_server_without_tls_is_not_trusted_with_a_mail_unless_told_so(inst: Installation, mail: MailServer) -> None:
    with_alerts(inst, smtp_url=SecretStr(f"smtp://127.0.0.1:{mail.port}"))
    write(inst)
    deliver_due(inst)
    assert mail.mails == []
    assert "?tls=no" in error(inst, MAIL)


def test_nothing_that_a_person_or_a_server_wrote_makes_a_header(inst: Installation, mail: MailServer) -> None:
    write(inst, "orders\r\nBcc: everybody@example.com\r\n\r\nboo")
    deliver_due(inst)
    [mailed] = mail.mails
    assert mailed["Bcc"] is None
    assert mailed["Subject"] == "orders Bcc: everybody@example.com boo"


def test_slack_gets_plain_text_in_which_nothing_pings_everybody(
    inst: Installation, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apprise.plugins.slack import NotifySlack

    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{web.port}")
    url = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    with_alerts(inst, email=(), urls=(), slack=AlertSettings(slack=SecretStr(url)).slack)
    write(inst, "orders <!channel> *bold*")
    assert deliver_due(inst).sent == 1
    [request] = web.requests
    assert request.path == "/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert b"<!channel>" not in request.body
    assert b"github" not in request.body, "no icon is fetched from elsewhere by whoever reads it"
    assert states(inst) == {"Slack": "sent"}


def test_a_url_that_apprise_does_not_know_is_said(inst: Installation) -> None:
    with_alerts(inst, email=(), urls=(SecretStr("nonsense://x"),))
    write(inst)
    deliver_due(inst)
    assert error(inst, "nonsense").startswith("Apprise does not know what to do with this nonsense:// URL.")


def test_labels_tell_channels_apart_and_hold_no_secret() -> None:
    alerts = AlertSettings(
        email=("a@example.com", "b@example.com"),
        smtp_url=SecretStr("smtp://u:p@h"),
        slack=SecretStr("https://hooks.slack.com/services/T1/B1/abcDEF123456"),
        urls=tuple(
            map(SecretStr, ["json://u:pw@hooks.example.com/t0ken", "json://hooks.example.com", "tgram://123:abc/4",
                            "https://discord.com/api/webhooks/1/xyz"])
        ),
    )  # fmt: skip
    assert channel_labels(alerts) == [
        "e-mail to a@example.com", "e-mail to b@example.com", "Slack", "json to hooks.example.com",
        "json to hooks.example.com (2)", "tgram", "webhook at discord.com",
    ]  # fmt: skip


def test_no_part_of_an_address_is_left_in_what_went_wrong(
    inst: Installation, web: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    web.close()
    write(inst)
    deliver_due(inst)
    assert "A Connection error occurred" in error(inst, WEB)
    everything = caplog.text + "".join(str(m) for m in recent_messages(inst.catalog.engine))
    assert SECRET not in everything
    assert masked(inst.settings.alerts, f"url: /hook/{SECRET} refused") == "url: /hook/*** refused"


def test_an_attempt_is_given_longer_than_any_single_time_limit() -> None:
    assert timedelta(seconds=max(smtp.SEND_SECONDS + smtp.CONNECT_SECONDS, by_apprise.SEND_SECONDS)) < outbox.CLAIM


def test_pauses_double_up_to_a_quarter_of_an_hour() -> None:
    minutes = [outbox.pause_after(attempts).total_seconds() / 60 for attempts in (1, 2, 3, 4, 5, 6, 100)]
    assert minutes == [1, 2, 4, 8, 15, 15, 15]


def test_a_message_knows_how_it_stands(clock: TestClock) -> None:
    waiting = Message("m", None, "test", 0, "c", "ok", "s", "b", clock(), 0, clock(), None, "")
    assert waiting.state == "waiting"
