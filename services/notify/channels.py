"""The channels that the settings name. A channel is known by its label, which holds nothing secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from services.errors import BackupsError
from services.notify.outbox import Message
from services.settings.model import AlertSettings
from services.settings.secret_texts import alert_secrets

_HOST_IS_A_HOST = ("json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos")
"""Schemes in whose URLs the host is one; in many others a token stands in its place."""

MAX_LABEL = 90
"""Characters of a label, so that it fits into the outbox with a number behind it."""


class NotDelivered(BackupsError):
    """A channel did not take a message. It is tried again: what a server refuses today may be mended tomorrow. Without
    ``may_pass`` only a person can mend that, who is told at once."""


@dataclass(frozen=True)
class Channel:
    """One way to tell people."""

    label: str
    send: Callable[[Message], None]
    """Raises NotDelivered; returns once the server has accepted."""
    check: Callable[[], None]
    """Raises NotDelivered for an address that means nothing; asks no server."""


def open_channels(alerts: AlertSettings) -> dict[str, Channel]:
    """Return the channels by their labels, in the order of the settings: mail, Slack, then the URLs."""
    found: dict[str, Channel] = {}
    for address in alerts.email:
        _add(found, f"e-mail to {address}", partial(_send_mail, alerts, address), partial(_check_mail, alerts))
    if alerts.slack is not None:
        text = alerts.slack.get_secret_value()
        _add(found, "Slack", partial(_send_by_apprise, text), partial(_check_by_apprise, text))
    for url in alerts.urls:
        text = url.get_secret_value()
        _add(found, _label(text), partial(_send_by_apprise, text), partial(_check_by_apprise, text))
    return found


def channel_labels(alerts: AlertSettings) -> list[str]:
    """Return the labels alone."""
    return list(open_channels(alerts))


def masked(alerts: AlertSettings, text: str) -> str:
    """Return text in which no part of a channel's address that may be secret is left."""
    for secret in sorted(alert_secrets(alerts), key=len, reverse=True):
        text = text.replace(secret, "***")
    return " ".join(text.split())


def _add(found: dict[str, Channel], label: str, send: Callable[[Message], None], check: Callable[[], None]) -> None:
    label, number = label[:MAX_LABEL], 2
    unique = label
    while unique in found:
        unique, number = f"{label} ({number})", number + 1
    found[unique] = Channel(unique, send, check)


def _label(url: str) -> str:
    """Return ``json to hooks.example.com``, or the scheme alone where what follows may be a token."""
    scheme = re.split("://", url, maxsplit=1)[0].lower()
    if scheme in ("http", "https"):  # a service's own address, as it shows it; the host is that service's
        return f"webhook at {_host(url)}"
    return f"{scheme} to {_host(url)}" if scheme in _HOST_IS_A_HOST and _host(url) else scheme


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _send_mail(alerts: AlertSettings, address: str, message: Message) -> None:
    # Imported here, as Apprise is below: most commands send nothing.
    from services.notify.mail import send_mail

    assert alerts.smtp_url is not None, "the settings say so"
    send_mail(alerts.smtp_url.get_secret_value(), address, message)


def _send_by_apprise(url: str, message: Message) -> None:
    from services.notify.by_apprise import send_by_apprise

    send_by_apprise(url, message)


def _check_mail(alerts: AlertSettings) -> None:
    from services.notify.mail import MailServer

    assert alerts.smtp_url is not None, "the settings say so"
    MailServer.parse(alerts.smtp_url.get_secret_value())


def _check_by_apprise(url: str) -> None:
    from services.notify.by_apprise import open_plugin

    open_plugin(url)
