"""``[access]``: from the environment and from a file, and every fault of it named at once, without a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.access.roles import Role
from services.errors import SettingsError
from services.settings.load import load_access, load_settings
from services.settings.secret_texts import secrets_of

BASE = {
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/la_factoria",
    "BACKUP_STORAGE": "file:///tmp/storage",
    "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
}
OIDC = {
    "BACKUP_ACCESS": "oidc",
    "BACKUP_ADMINS": "mara@example.com, cli:root@*",
    "BACKUP_DASHBOARD_URL": "https://backups.example.com/",
    "BACKUP_OIDC_ISSUER": "https://id.example.com/",
    "BACKUP_OIDC_CLIENT_ID": "backups",
    "BACKUP_OIDC_CLIENT_SECRET": "planted-client",
    "BACKUP_COOKIE_SECRET": "planted-cookie-planted-cookie-planted",
    "BACKUP_ROLES": "backup-admins=admin, CN=dba,OU=x=operator",
    "BACKUP_METRICS_TOKEN": "planted-metrics",
}


def faults(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as refused:
        load_settings(environ)
    assert "planted" not in str(refused.value)
    return "\n".join(refused.value.faults)


def test_nothing_set_is_no_sign_in() -> None:
    settings = load_settings(BASE)
    assert settings is not None
    assert settings.access.mode == "none"
    assert load_access({}).mode == "none"


def test_the_environment_sets_up_sign_in() -> None:
    settings = load_settings(BASE | {**OIDC, "BACKUP_ROLES": "backup-admins=admin, dba=operator"})
    assert settings is not None
    access = settings.access
    assert (access.url, access.issuer) == ("https://backups.example.com", "https://id.example.com")
    assert access.roles == {"backup-admins": Role.ADMIN, "dba": Role.OPERATOR}
    assert access.admin_identities() == {"person:mara@example.com", "cli:root@*"}
    assert {"planted-client", OIDC["BACKUP_COOKIE_SECRET"], "planted-metrics"} <= secrets_of(settings)


def test_the_file_sets_it_up_and_the_environment_adds_the_secrets(tmp_path: Path) -> None:
    file = tmp_path / "backups.toml"
    file.write_text(
        'recipients = ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]\n'
        '[access]\nmode = "oidc"\nadmins = ["mara@example.com"]\nurl = "https://b.example.com"\nsession = "8h"\n'
        'issuer = "https://id.example.com"\nclient_id = "backups"\nroles = { "CN=dba,OU=x" = "operator" }\n'
        '[[databases]]\nname = "la_factoria"\nurl = "postgresql://u:p@h/la_factoria"\n'
        '[[storages]]\nname = "s"\nurl = "file:///srv/backups"\n'
    )
    secrets = {name: OIDC[name] for name in ("BACKUP_OIDC_CLIENT_SECRET", "BACKUP_COOKIE_SECRET")}
    settings = load_settings({"BACKUPS_CONFIG": str(file)} | secrets)
    assert settings is not None
    assert settings.access.session.total_seconds() == 8 * 3600
    assert settings.access.roles == {"CN=dba,OU=x": Role.OPERATOR}


def test_every_fault_is_named_at_once() -> None:
    said = faults(BASE | {"BACKUP_ACCESS": "oidc"})
    for name in ("url", "issuer", "client_id", "client_secret", "cookie_secret", "admins"):
        assert f"access.{name} (BACKUP_" in said
    said = faults(BASE | {"BACKUP_ACCESS": "proxy"})
    assert "access.proxy_header (BACKUP_PROXY_HEADER): is missing" in said
    assert "access.proxy_addresses (BACKUP_PROXY_ADDRESSES): is missing" in said
    said = faults(
        BASE
        | OIDC
        | {
            "BACKUP_DASHBOARD_URL": "http://backups.example.com",
            "BACKUP_OIDC_ISSUER": "id.example.com",
            "BACKUP_COOKIE_SECRET": "planted-short",
            "BACKUP_ROLES": "dba=boss",
            "BACKUP_ADMINS": "mаra@example.com",  # the second letter is Cyrillic
            "BACKUP_DEFAULT_ROLE": "root",
            "BACKUP_PROXY_HEADER": "Remote User",
            "BACKUP_PROXY_ADDRESSES": "0.0.0.0/0",
        }
    )
    for words in (
        "BACKUP_DASHBOARD_URL: is not encrypted", "BACKUP_OIDC_ISSUER: write an https:// address",
        "BACKUP_COOKIE_SECRET: has fewer than 32", "access.roles.dba: ", "BACKUP_ADMINS: This is no name",
        "BACKUP_DEFAULT_ROLE: ", "BACKUP_PROXY_HEADER: is no name of a header", "BACKUP_PROXY_ADDRESSES: trusts every",
    ):  # fmt: skip
        assert words in said, said


def test_an_address_below_a_path_is_not_served() -> None:
    assert "has a path" in faults(BASE | OIDC | {"BACKUP_DASHBOARD_URL": "https://example.com/backups"})


def test_an_unknown_mode_is_no_sign_in_that_is_open() -> None:
    assert "BACKUP_ACCESS: " in faults(BASE | {"BACKUP_ACCESS": "everybody"})
