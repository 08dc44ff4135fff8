"""What people do about alerts: acknowledge one, and try whether the channels work."""

from __future__ import annotations

from dataclasses import dataclass

from services.alerts.messages import write_test
from services.alerts.model import Alert
from services.alerts.store import acknowledge, find_alert
from services.commands.gate import permitted
from services.commands.submit import check_note
from services.errors import InputError
from services.installation import Installation
from services.notify.channels import channel_labels, open_channels
from services.notify.deliver import deliver
from services.notify.outbox import CLAIM, add_messages, claim, get_message, give_up


@dataclass(frozen=True)
class ChannelTest:
    """What became of a test message."""

    channel: str
    accepted: bool
    error: str
    """Why it was not; without secrets."""
    seconds: float


@permitted("alert.acknowledge")
def acknowledge_alert(installation: Installation, alert: str, *, note: str, actor: str) -> Alert:
    """Note that somebody looks after an open alert: it is said again only when it gets worse or resolves.

    ``alert`` is its id or key. Raise UnknownName, InputError for a note that is empty or too long, or an alert that has
    resolved.
    """
    if not note.strip():
        raise InputError("A note is needed.", hint="Say who does what about it, and until when.")
    check_note(note)
    engine = installation.catalog.engine
    found = find_alert(engine, alert)
    acknowledge(engine, found.id, by=actor, note=note.strip(), now=installation.clock())
    return find_alert(engine, found.id)


@permitted("alert.test")
def send_test_messages(installation: Installation, *, actor: str) -> list[ChannelTest]:
    """Send one message to each channel now, and return what each said. Raise InputError when there is no channel.

    What failed is not tried again: a test says how things are now.
    """
    engine, settings = installation.catalog.engine, installation.settings
    channels = open_channels(settings.alerts)
    if not channels:
        raise InputError(
            "There is no channel to test.",
            hint="Set BACKUP_ALERT_EMAIL with BACKUP_SMTP_URL, BACKUP_ALERT_SLACK or BACKUP_ALERT_URLS.",
        )
    now = installation.clock()
    text = write_test(settings, actor, now)
    with engine.begin() as connection:
        ids = add_messages(
            connection, channel_labels(settings.alerts), alert_id=None, event="test", number=0, severity="ok",
            subject=text.subject, body=text.body, now=now, not_before=now + CLAIM,
        )  # fmt: skip
    tests = []
    for message_id in ids:
        message = get_message(engine, message_id)
        assert message is not None, "it has just been written"
        began = installation.clock()
        claim(engine, message, now)
        if not deliver(installation, message, channels[message.channel]):
            give_up(engine, message_id)
        took = (installation.clock() - began).total_seconds()
        ended = get_message(engine, message_id) or message
        tests.append(ChannelTest(message.channel, ended.sent_at is not None, ended.error, took))
    return tests
