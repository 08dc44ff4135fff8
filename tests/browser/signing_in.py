"""The product behind a real OpenID Connect provider, both on loopback; one server for all of these tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import oidc_provider_mock
from oidc_provider_mock import User

from services import serve
from services.installation import Installation, open_installation
from tests.support.sinks import free_port

ROOT = Path(__file__).resolve().parents[2]
CLIENT = "backups-of-the-tests"


@dataclass(frozen=True)
class SignInSite:
    """A running dashboard, its provider, and the installation that both tests and dashboard look at."""

    url: str
    provider: str
    inst: Installation

    def account(self, sub: str, **claims: object) -> None:
        """Give the provider an account; ``aud``, ``iat`` and ``exp`` among its claims go into its tokens."""
        body = json.dumps({"email": sub, "email_verified": True, "name": sub.partition("@")[0].title()} | claims)
        request = urllib.request.Request(
            f"{self.provider}/users/{sub}", body.encode(), {"Content-Type": "application/json"}, method="PUT"
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 204


@contextmanager
def sign_in_site(home: Path) -> Iterator[SignInSite]:
    """Run `backups dashboard` in front of a provider; the settings make root@example.com an admin."""
    with oidc_provider_mock.run_server_in_thread(user_claims=[User(sub="nobody@example.com")]) as server:
        provider = f"http://localhost:{server.server_port}"
        port = free_port()
        url = f"http://localhost:{port}"
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "BACKUPS_HOME": str(home / "home"),
            "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/la_factoria",
            "BACKUP_STORAGE": f"file://{home / 'storage'}",
            "BACKUP_RECIPIENTS": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            "BACKUP_ACCESS": "oidc",
            "BACKUP_ADMINS": "root@example.com",
            "BACKUP_DASHBOARD_URL": url,
            "BACKUP_OIDC_ISSUER": provider,
            "BACKUP_OIDC_CLIENT_ID": CLIENT,
            "BACKUP_OIDC_CLIENT_SECRET": "planted-client-secret",
            "BACKUP_COOKIE_SECRET": "planted-cookie-secret-of-32-characters",
        }
        inst = open_installation(environ)
        command = [sys.executable, "-m", "services.cli.main", "dashboard", "--port", str(port), "--address", "0.0.0.0"]
        with (home / "dashboard.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT)
        try:
            serve.wait_until_served("127.0.0.1", port, seconds=90, ended=lambda: process.poll() is not None)
            yield SignInSite(url, provider, inst)
        finally:
            process.terminate()
            process.wait(30)
            inst.close()
