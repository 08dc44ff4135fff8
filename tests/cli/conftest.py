from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.cli.main import app
from services.postgres.connection import Address
from services.postgres.server import LocalServer
from services.stream.encryption import generate_key
from tests.support.catalogs import prepare_home

SCRIPT = """
CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL);
INSERT INTO users SELECT n, 'user' || n || '@example.com' FROM generate_series(1, 2000) n;
CREATE TABLE audit_logs (id bigint GENERATED ALWAYS AS IDENTITY, what jsonb);
INSERT INTO audit_logs (what) SELECT jsonb_build_object('n', n) FROM generate_series(1, 500) n;
CREATE VIEW some_users AS SELECT * FROM users WHERE id < 10;
"""


@dataclass
class Shell:
    """The command line with an environment of its own."""

    folder: Path
    database: Address
    variables: dict[str, str]
    secrets: list[str] = field(default_factory=list)

    def run(self, *words: str, **variables: str) -> Result:
        """Run ``backups WORDS`` in this process. Whatever it writes, no secret may be in it."""
        result = CliRunner().invoke(app, list(words), env=self.variables | variables)
        for secret in self.secrets:
            assert secret not in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result

    def json(self, *words: str, **variables: str) -> Any:
        """Run a reading command that succeeds, and return what it says as JSON."""
        result = self.run(*words, "--json", **variables)
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def create(self, *words: str) -> dict[str, Any]:
        """Take a backup, and return it."""
        backup: dict[str, Any] = self.json("create", "--quiet", *words)["backup"]
        return backup

    def object(self, backup: dict[str, Any]) -> Path:
        """Return the file that holds a backup's only copy."""
        return Path(backup["copies"][0]["location"].removeprefix("file://"))


@pytest.fixture
def shell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server15: LocalServer,
    server18: LocalServer,
    database: Callable[..., Address],
) -> Shell:
    """A configured installation: one database (``la_factoria``) on PostgreSQL 15, a local storage, a key."""
    for name in list(os.environ):
        if name.startswith(("BACKUP", "DATABASE_URL", "AWS_", "S3_", "CATALOG_URL", "RESTORE_TEST_URL")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    prepare_home(tmp_path / "home")
    address = database(server15, SCRIPT)
    secret, public = generate_key()
    url = address.url().get_secret_value()
    secrets = [secret]
    if address.password is not None:
        secrets.append(address.password.get_secret_value())
    return Shell(
        tmp_path,
        address,
        {
            "DATABASE_URL": url,
            "BACKUP_DATABASE_NAME": "la_factoria",
            "BACKUP_SCHEDULE": "off",
            "BACKUP_STORAGE": f"file://{tmp_path / 'storage'}",
            "BACKUP_RECIPIENTS": public,
            "BACKUP_ENCRYPTION_KEY": secret,
            "BACKUPS_HOME": str(tmp_path / "home"),
            "RESTORE_TEST_URL": server18.address.url().get_secret_value(),
        },
        secrets,
    )


@pytest.fixture
def two(shell: Shell) -> Shell:
    """The shell with a second storage for its one database."""
    config = shell.folder / "backups.toml"
    config.write_text(
        f'recipients = ["{shell.variables["BACKUP_RECIPIENTS"]}"]\n'
        f'[[storages]]\nname = "primary"\nurl = "file://{shell.folder / "storage"}"\n'
        f'[[storages]]\nname = "second"\nurl = "file://{shell.folder / "second"}"\n'
        f'[[databases]]\nname = "la_factoria"\nurl = "{shell.variables["DATABASE_URL"]}"\n'
        f'storages = ["primary", "second"]\n'
    )
    shell.variables = {k: v for k, v in shell.variables.items() if k not in ("DATABASE_URL", "BACKUP_STORAGE")}
    shell.variables["BACKUPS_CONFIG"] = str(config)
    return shell
