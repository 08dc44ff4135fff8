"""Everything but mail, by Apprise: Slack, webhooks and a hundred more, each behind a URL."""

from __future__ import annotations

import logging
import re

import apprise
from apprise.plugins.base import NotifyBase
from apprise.result import AppriseResultStatus

from services.notify.channels import NotDelivered
from services.notify.outbox import Message

SEND_SECONDS = 30.0
"""How long one attempt may take in all."""
READ_SECONDS = 15.0
"""How long a server may be silent, unless its URL says so (``rto=``). Apprise's own 4 s is short."""
_FOR_GOOD = re.compile(r"\berror=(?!408|425|429)4\d\d\b")
"""What Apprise logs of an answer that the same request will get again (RFC 9110, 15.5); these three ask to wait."""
_TYPES = {
    "failure": apprise.NotifyType.FAILURE,
    "unknown": apprise.NotifyType.WARNING,
    "warning": apprise.NotifyType.WARNING,
    "ok": apprise.NotifyType.SUCCESS,
}

# What it has to say comes back with each result; in the process's log it would only name parts of addresses.
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())


def open_plugin(url: str) -> NotifyBase:
    """Given an Apprise URL, return what sends to it. Raise NotDelivered when it means nothing to Apprise."""
    asset = apprise.AppriseAsset(
        app_id="Backups",
        app_desc="Backups",
        app_url="",
        image_url_mask="",  # its icons would be fetched from the internet by whoever reads the message
        image_url_logo="",
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    plugin = apprise.Apprise.instantiate(url, asset=asset)
    if plugin is None:
        label = url.partition("://")[0]
        hint = "See https://appriseit.com for how each service's URL is written."
        raise NotDelivered(f"Apprise does not know what to do with this {label}:// URL.", hint=hint)
    return plugin


def send_by_apprise(url: str, message: Message) -> None:
    """Send a message to one Apprise URL. Raise NotDelivered with the reason, which may name parts of the URL."""
    plugin = open_plugin(url)
    if "rto=" not in url:
        plugin.socket_read_timeout = READ_SECONDS
    if "overflow=" not in url:  # a message that is too long for the service would be refused again and again
        plugin.overflow_mode = apprise.OverflowMode.SPLIT
    headers = getattr(plugin, "headers", None)
    if isinstance(headers, dict):  # webhooks, which can drop a doubled message by it
        headers["Idempotency-Key"] = f"backups-{message.id}"
    service = apprise.Apprise(asset=plugin.asset)
    service.add(plugin)
    resolved = message.event == "resolved"
    result = service.notify(
        body=message.body,
        title=message.subject,
        notify_type=apprise.NotifyType.SUCCESS if resolved else _TYPES.get(message.severity, apprise.NotifyType.INFO),
        body_format=apprise.NotifyFormat.TEXT,
        timeout=SEND_SECONDS,
    )
    if result.status == AppriseResultStatus.SUCCESS:
        return
    if result.status == AppriseResultStatus.TIMEOUT:
        raise NotDelivered(f"It did not answer within {SEND_SECONDS:.0f} s.")
    said = " ".join(entry.message for each in result for entry in each.logs())[:500]
    what = said or f"{plugin.service_name} did not take it and gave no reason."
    raise NotDelivered(what, may_pass=not _FOR_GOOD.search(said))
