"""Mail, by the standard library: a Message-ID that stays the same over all attempts, and the server's own reason.

Apprise's mail makes a new Message-ID for each attempt and keeps the server's answer to itself, so that a doubled mail
could not be told from a second one, nor a wrong password from a server that is away.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit

from services.notify.channels import NotDelivered
from services.notify.outbox import Message

CONNECT_SECONDS = 15.0
"""How long the server may be silent at any step but the last."""
SEND_SECONDS = 60.0
"""How long one attempt may take in all. RFC 1047: hanging up early on a server that has the mail sends it twice."""


_FOR_GOOD = 500
"""From this code on a mail server refuses for good, below it for now (RFC 5321, 4.2.1)."""


@dataclass(frozen=True)
class MailServer:
    """A parsed ``smtp://`` or ``smtps://`` URL."""

    host: str
    port: int
    implicit_tls: bool
    starttls: bool
    verify: bool
    user: str
    password: str
    sender: str

    @classmethod
    def parse(cls, url: str) -> MailServer:
        """Given ``smtp://user:password@host:587?from=…&tls=no&verify=no``, return its parts. Raise NotDelivered."""
        try:
            parts = urlsplit(url)
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            implicit = parts.scheme.lower() == "smtps"
            host, port = parts.hostname or "", parts.port or (465 if implicit else 587)
        except ValueError as error:
            raise NotDelivered(f"BACKUP_SMTP_URL is no URL: {error}.") from error
        user = unquote(parts.username or "")
        sender = query.get("from") or (user if "@" in user else f"backups@{host}")
        tls, verify = query.get("tls", "yes") != "no", query.get("verify", "yes") != "no"
        return cls(host, port, implicit, tls and not implicit, verify, user, unquote(parts.password or ""), sender)


def send_mail(smtp_url: str, address: str, message: Message) -> None:
    """Send a message to one address. Raise NotDelivered with the server's reason."""
    server = MailServer.parse(smtp_url)
    where = f"{server.host}:{server.port}"
    try:
        with _connected(server) as smtp:
            smtp.send_message(compose(server, address, message))
    except smtplib.SMTPAuthenticationError as error:
        what = f"{where} refuses the user name or password ({_said(error)})."
        raise NotDelivered(what, may_pass=error.smtp_code < _FOR_GOOD) from error
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()), (0, b""))
        what = f"{where} refuses {address} ({code} {_text(said)})."
        raise NotDelivered(what, may_pass=code < _FOR_GOOD) from error
    except smtplib.SMTPResponseException as error:
        what = f"{where} refuses the mail ({_said(error)})."
        raise NotDelivered(what, may_pass=error.smtp_code < _FOR_GOOD) from error
    except (TimeoutError, smtplib.SMTPServerDisconnected) as error:
        raise NotDelivered(f"{where} did not answer in time, or hung up.") from error
    except smtplib.SMTPNotSupportedError as error:
        hint = "With a relay that knows no TLS: smtp://host:25?tls=no"
        raise NotDelivered(f"{where}: {error}", hint=hint) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotDelivered(f"{where} cannot be reached: {_reason(error)}.") from error


def compose(server: MailServer, address: str, message: Message) -> EmailMessage:
    """Return the mail. Its Message-ID is made of the message's id alone: a second attempt is the same mail."""
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = f"Backups <{server.sender}>"
    mail["To"] = address
    mail["Date"] = format_datetime(message.created_at)
    domain = server.sender.rpartition("@")[2] or "localhost"
    mail["Message-ID"] = f"<backups-{message.id}@{domain}>"
    if message.alert_id is not None:  # mail programs show what is about one alert as one conversation
        mail["References"] = f"<backups-alert-{message.alert_id}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    if message.severity == "failure" and message.event != "resolved":
        mail["Importance"] = "high"
    mail.set_content(message.body)
    return mail


@contextlib.contextmanager
def _connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    context = ssl.create_default_context()
    if not server.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    smtp: smtplib.SMTP
    if server.implicit_tls:
        smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=CONNECT_SECONDS, context=context)
    else:
        smtp = smtplib.SMTP(server.host, server.port, timeout=CONNECT_SECONDS)
    # A server that sends a byte now and then would keep each step from timing out; this ends them all.
    limit = threading.Timer(SEND_SECONDS, _hang_up, [smtp])
    limit.daemon = True
    limit.start()
    try:
        if server.starttls:
            smtp.starttls(context=context)
        if server.user:
            smtp.login(server.user, server.password)
        if smtp.sock is not None:
            smtp.sock.settimeout(SEND_SECONDS)
        yield smtp
    finally:
        limit.cancel()
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if smtp.sock is not None:
                smtp.sock.settimeout(1.0)  # the mail is accepted or refused by now: its farewell matters to nobody
            smtp.quit()
        smtp.close()


def _hang_up(smtp: smtplib.SMTP) -> None:
    with contextlib.suppress(OSError):
        if smtp.sock is not None:
            smtp.sock.shutdown(2)


def _said(error: smtplib.SMTPResponseException) -> str:
    return f"{error.smtp_code} {_text(error.smtp_error)}".strip()


def _text(said: bytes | str) -> str:
    return " ".join((said.decode("utf-8", "replace") if isinstance(said, bytes) else said).split())[:200]


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__).rstrip(".")
