"""What can be set about who gets in: ``[access]``. See docs/access.md."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from services.access.identity import parse_identity
from services.access.roles import Role
from services.errors import InputError
from services.settings.lengths import parse_duration

Mode = Literal["none", "oidc", "proxy"]

SHORTEST_SECRET = 32
"""Characters of the secret that signs cookies: as many as 32 bytes in hexadecimal have halves."""
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class AccessSettings(BaseModel):
    """How people sign in, and who is what from the start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode = "none"
    """``none``: nobody signs in, and the page is served to this machine alone; ``oidc``: OpenID Connect; ``proxy``: a
    proxy that signs people in says who they are in a header."""
    admins: tuple[str, ...] = ()
    """Identities that are admins whatever the table says, unless they are disabled: ``mara@example.com``,
    ``cli:root@*``."""
    roles: dict[str, Role] = {}
    """What a value of ``roles_claim`` makes of a person; of several the highest counts."""
    roles_claim: str = "groups"
    default_role: Role | None = None
    """The role of whoever signs in and is not known; None: none, an admin adds them first."""
    session: Annotated[timedelta, BeforeValidator(parse_duration), Field(gt=timedelta(0), le=timedelta(days=30))] = (
        timedelta(hours=12)
    )
    """How long one sign-in lasts."""
    url: str | None = None
    """Where people reach the dashboard: ``https://backups.example.com``; the provider sends them back to its
    ``/oauth2callback``."""
    issuer: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    cookie_secret: SecretStr | None = None
    """Signs the cookie that holds who is signed in; the same for all dashboards of one ``url``."""
    claim: str = "email"
    """The claim that names a person in records; ``email`` counts only where the provider says it was verified."""
    scope: str = "openid email profile"
    proxy_header: str | None = None
    """The header in which the proxy says who it is: ``X-Forwarded-User``, ``Remote-User``."""
    proxy_roles_header: str | None = None
    """The header with the groups, separated by commas, where ``roles`` maps them."""
    proxy_addresses: tuple[str, ...] = ()
    """The addresses or networks that requests may come from: the proxy's, and nobody else's."""
    sign_out_url: str | None = None
    """Where the proxy signs people out."""
    metrics_token: SecretStr | None = None
    """With it ``/metrics`` is answered to whoever sends ``Authorization: Bearer TOKEN``, and to nobody else."""

    @field_validator("admins", mode="after")
    @classmethod
    def _admins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for text in value:
                parse_identity(text)
        except InputError as error:
            raise ValueError(f"{error.message.rstrip('.')} {error.hint.rstrip('.')}") from error
        return value

    @field_validator("default_role", mode="before")
    @classmethod
    def _default_role(cls, value: object) -> object:
        return None if value == "none" else value

    @field_validator("url", "issuer", "sign_out_url")
    @classmethod
    def _web(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if info.field_name == "url" and parts.path not in ("", "/"):
            raise ValueError("has a path: the dashboard is served at the root of a name of its own")
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("write an https:// address")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("is not encrypted: write https://, plain http:// only for this machine")
        return value.rstrip("/")

    @field_validator("cookie_secret")
    @classmethod
    def _cookie_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < SHORTEST_SECRET:
            raise ValueError(f"has fewer than {SHORTEST_SECRET} characters; make one with `openssl rand -hex 32`")
        return value

    @field_validator("proxy_header", "proxy_roles_header")
    @classmethod
    def _header(cls, value: str | None) -> str | None:
        if value is not None and not _HEADER.match(value):
            raise ValueError("is no name of a header: letters, digits and '-'")
        return value

    @field_validator("proxy_addresses")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError("write addresses or networks: 10.0.0.5, 10.0.0.0/24") from None
            if network.prefixlen == 0:
                raise ValueError("trusts every address: then anybody may say who they are")
        return value

    def admin_identities(self) -> frozenset[str]:
        """Return ``admins`` as identities: a bare name is one of whoever signs in here."""
        kind = "proxy" if self.mode == "proxy" else "person"
        return frozenset(parse_identity(text, kind=kind) for text in self.admins)


def missing(access: AccessSettings) -> Iterator[str]:
    """Yield what the mode needs and has not, a fault a line."""
    needed = {
        "none": (),
        "oidc": ("url", "issuer", "client_id", "client_secret", "cookie_secret"),
        "proxy": ("proxy_header", "proxy_addresses"),
    }
    for name in needed[access.mode]:
        if not getattr(access, name):
            yield f"access.{name} ({VARIABLES[name]}): is missing, and mode {access.mode!r} needs it"
    if access.mode != "none" and not access.admins and Role.ADMIN not in access.roles.values():
        yield "access.admins (BACKUP_ADMINS): is missing, and no group is mapped to admin: nobody could let others in"


_PUBLIC = (
    "accounts.google.com", "appleid.apple.com", "gitlab.com", "api.login.yahoo.com", "www.facebook.com",
    "www.linkedin.com/oauth", "login.salesforce.com", "id.twitch.tv/oauth2", "www.paypal.com", "slack.com",
)  # fmt: skip
_PUBLIC_MICROSOFT = ("common", "consumers", "organizations", "9188040d-6c67-4c5b-b112-36a304b66dad")
"""Microsoft's tenants that anybody is in; the last is that of private accounts."""


def lets_anybody_in(access: AccessSettings) -> bool:
    """Say whether anybody on earth has a role: by ``default_role``, of a provider that is known to sign anybody in."""
    if access.mode != "oidc" or access.default_role is None:
        return False
    place = (access.issuer or "").partition("://")[2].lower().rstrip("/")
    host, _, path = place.partition("/")
    is_microsoft = host == "login.microsoftonline.com" and path.partition("/")[0] in _PUBLIC_MICROSOFT
    return place in _PUBLIC or is_microsoft


VARIABLES = {
    "mode": "BACKUP_ACCESS",
    "admins": "BACKUP_ADMINS",
    "roles": "BACKUP_ROLES",
    "roles_claim": "BACKUP_ROLES_CLAIM",
    "default_role": "BACKUP_DEFAULT_ROLE",
    "url": "BACKUP_DASHBOARD_URL",
    "issuer": "BACKUP_OIDC_ISSUER",
    "client_id": "BACKUP_OIDC_CLIENT_ID",
    "client_secret": "BACKUP_OIDC_CLIENT_SECRET",
    "cookie_secret": "BACKUP_COOKIE_SECRET",
    "claim": "BACKUP_OIDC_CLAIM",
    "proxy_header": "BACKUP_PROXY_HEADER",
    "proxy_addresses": "BACKUP_PROXY_ADDRESSES",
    "metrics_token": "BACKUP_METRICS_TOKEN",
}
"""The environment variable of each setting that has one."""
