"""The product as a person meets it: `backups serve` on the sample environment, and a real Chromium in front of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.support.schedules import pause_schedules

if TYPE_CHECKING:
    from tests.browser.point_site import PointSite

CHROMIUM = Path("/usr/bin/chromium")
# Without these Chromium looks for hosts on the internet by itself, and its refused connections hide ours.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
START_SECONDS = 150
WAIT_MS = 60_000
ROOT = Path(__file__).resolve().parents[2]
OWN_SETTINGS = ("DATABASE_URL", "BACKUP", "S3_", "AWS_", "CATALOG_URL", "RESTORE_TEST_URL")


@dataclass(frozen=True)
class Site:
    """A running `backups serve`."""

    url: str
    home: Path
    environ: dict[str, str]
    pid: int

    def command(self, *words: str) -> Any:
        """Return what ``backups WORDS --json`` says of this site."""
        program = Path(sys.executable).with_name("backups")
        done = subprocess.run(
            [program, *words, "--json"], env=self.environ, capture_output=True, check=True, timeout=60
        )
        return json.loads(done.stdout)

    def children(self, name: str) -> list[psutil.Process]:
        """Return the programs of that name that run below this site's processes."""
        return [child for child in psutil.Process(self.pid).children(recursive=True) if child.name() == name]


@dataclass
class Visit:
    """One page with everything that went wrong in it."""

    page: Page
    site: Site
    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def open(self, path: str = "/", heading: str | None = None) -> Page:
        """Open a path and wait until its heading is there."""
        self.page.goto(self.site.url + path)
        self.page.get_by_role("heading", level=1, name=heading).first.wait_for(timeout=WAIT_MS)
        return self.page


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="backups-browser-") as folder:
        home = Path(folder)
        home.chmod(0o755)  # for root the sample's server runs as another user, who must get at its data
        yield from serve(home)


def serve(home: Path, **more: str) -> Iterator[Site]:
    """Run `backups serve` in this home, with more of an environment, and end it afterwards."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OWN_SETTINGS)}
    environ |= {"BACKUPS_HOME": str(home)} | more
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pause_schedules(environ)  # one that comes due meanwhile starts runs that no test asked for
    program = Path(sys.executable).with_name("backups")
    log = home / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "serve", "--port", str(port)], env=environ, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield Site(url, home, environ, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for(url: str, serve: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if serve.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    pytest.fail(f"backups serve did not answer in {START_SECONDS} s:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def visit(context: BrowserContext, site: Site) -> Visit:
    """Open a new tab that remembers every error of its console and every request to a host that is not ours."""
    made = Visit(context.new_page(), site)

    def on_console(message: ConsoleMessage) -> None:
        # Streamlit looks for its base path below a page's own URL first (/inventory/_stcore/health), then at the root.
        probing = message.location.get("url", "").endswith(("/_stcore/health", "/_stcore/host-config"))
        if message.type == "error" and not probing:
            made.errors.append(f"{message.text} ({message.location.get('url')})")

    def on_request(request: Request) -> None:
        if not request.url.startswith((site.url, site.url.replace("http", "ws", 1), "data:", "blob:")):
            made.strangers.append(request.url)

    made.page.on("console", on_console)
    made.page.on("pageerror", lambda error: made.errors.append(str(error)))
    made.page.on("request", on_request)
    made.page.set_default_timeout(WAIT_MS)
    return made


@pytest.fixture
def laptop(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return axe-core's source, installed by npm once and kept in .cache."""
    cache = ROOT / ".cache" / "axe"
    script = cache / "node_modules" / "axe-core" / "axe.min.js"
    lock = (ROOT / "tests/browser/package-lock.json").read_bytes()
    if not script.exists() or (cache / "package-lock.json").read_bytes() != lock:
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is not installed, so axe-core cannot be had")
        cache.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(ROOT / "tests/browser" / name, cache / name)
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=cache, check=True, timeout=120)
    return script.read_text()


@pytest.fixture(scope="session")
def pointed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PointSite]:
    """A site with point in time on; made when a test first asks for it."""
    from tests.browser.point_site import point_site

    with point_site(tmp_path_factory.mktemp("pointed")) as made:
        yield made
