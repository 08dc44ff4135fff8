"""The secret texts that settings hold, which no log, error or page may show."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from services.settings.model import Settings

_SECRET_PARAMETERS = ("password", "sslpassword", "oauth_client_secret")
"""What libpq takes as a secret in the query of a URL."""


def secrets_of(settings: Settings) -> set[str]:
    """Return every secret text in the settings (passwords also on their own), to be masked in logs."""
    found: set[str] = set()
    urls = [d.url for d in settings.databases] + [u for u in (settings.restore_test_url, settings.catalog_url) if u]
    for url in urls:
        found |= _secrets_in(url.get_secret_value())
    keys: list[SecretStr | None] = [settings.encryption_key, settings.signing_key]
    for storage in settings.storages:
        keys += [storage.secret_access_key, storage.session_token]
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
