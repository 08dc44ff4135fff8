"""The secret texts that settings hold, which no log, error or page may show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from services.settings.model import AlertSettings, Settings

_SECRET_PARAMETERS = ("password", "sslpassword", "oauth_client_secret")
"""What libpq takes as a secret in the query of a URL."""


def secrets_of(settings: Settings) -> set[str]:
    """Return every secret text in the settings (passwords also on their own), to be masked in logs."""
    found: set[str] = set()
    urls = [d.url for d in settings.databases] + [d.owner_url for d in settings.databases if d.owner_url]
    urls += [u for u in (settings.restore_test_url, settings.catalog_url) if u]
    for url in urls:
        found |= _secrets_in(url.get_secret_value())
    found |= alert_secrets(settings.alerts)
    keys: list[SecretStr | None] = [settings.encryption_key, settings.signing_key, settings.installation_key]
    keys += settings.old_encryption_keys
    access = settings.access
    keys += [access.client_secret, access.cookie_secret, access.metrics_token]
    for storage in settings.storages:
        keys += [storage.secret_access_key, storage.session_token, storage.delete_secret_access_key]
    found |= {key.get_secret_value() for key in keys if key is not None}
    return {text for text in found if len(text) >= 4}


def _secrets_in(url: str) -> set[str]:
    """Return the passwords that a URL holds, before its @ or in its query, as they stand there and as they are."""
    try:
        parts = urlsplit(url)
        pairs = [pair.partition("=") for pair in parts.query.split("&")]
        written = [value for name, _, value in pairs if name in _SECRET_PARAMETERS] + [parts.password or ""]
    except ValueError:
        return set()
    return {text for raw in written if raw for text in (raw, unquote(raw))}


def alert_secrets(alerts: AlertSettings) -> set[str]:
    """Return what is secret in the addresses that alerts are sent to: whole, and part by part.

    Which part of such a URL is the token depends on the service, so every part counts that is not plainly a word: else
    a host or a topic that is called like a database would be masked in every log line.
    """
    found: set[str] = set()
    for url in (alerts.smtp_url, alerts.slack, alerts.heartbeat_url, *alerts.urls):
        if url is None:
            continue
        text = url.get_secret_value()
        found |= {text, *_secrets_in(text)}
        parts = re.split(r"[/?&=:@,]+", text.partition("://")[2])
        found |= {form for part in parts if _looks_secret(part) for form in (part, unquote(part))}
    return found


def _looks_secret(part: str) -> bool:
    mixed = part.lower() != part or any(character.isdigit() for character in part)
    return len(part) >= 8 and "." not in part and not part.isdigit() and (mixed or len(part) >= 20)


_IN_URL = re.compile(r"(\b\w+://[^\s:/@]*:)[^\s/@]+(?=@)")
_NAMED = re.compile(
    # NAME=value and --name=value, or --name value; the value quoted or not
    r"""((?:\b[\w.-]*|--[\w-]*)(?:secret|passw|pass\b|passphrase|token|credential|key)[\w-]*=
      |--[\w-]*(?:secret|passw|pass\b|passphrase|token|credential|key)[\w-]*\s+)
    ("[^"]*"|'[^']*'|[^\s;&|)]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_IDENTITY = re.compile(r"AGE-SECRET-KEY-1\w+", re.IGNORECASE)


def mask_command(command: str, known: Iterable[str] = ()) -> str:
    """Return a command that somebody else wrote, such as a server's ``archive_command``, without what is secret in it.

    That is the password of a URL, the value of whatever is named like a secret (``AWS_SECRET_ACCESS_KEY=…``,
    ``--repo1-cipher-pass …``), an age identity, and each text of ``known``. Better a path too many than a key.
    """
    for text in sorted(known, key=len, reverse=True):
        command = command.replace(text, "***")
    command = _NAMED.sub(r"\1***", _IN_URL.sub(r"\1***", command))
    return _IDENTITY.sub("***", command)
