"""The policy for content in a real browser: the page works, text never becomes code, nobody frames it."""

from __future__ import annotations

import http.server
import threading
from typing import Any

from playwright.sync_api import BrowserContext

from tests.browser.conftest import WAIT_MS, Site

TRIED = """async () => {
  const told = {};
  // Later, since what the browser's debugger evaluates may do so.
  told.text = await new Promise(done => setTimeout(() => {
    try { done(new Function("return 'ran'")()) } catch { done("refused") }
  }));
  const script = document.createElement("script");
  script.textContent = "window.inlined = true";
  document.body.append(script);
  told.inline = window.inlined ? "ran" : "refused";
  const image = new Image();
  told.stranger = await new Promise(done => {
    image.onload = () => done("loaded");
    image.onerror = () => done("refused");
    image.src = "STRANGER/pixel.png";
    document.body.append(image);
  });
  told.fetched = await fetch("STRANGER/").then(() => "fetched", () => "refused");
  return told;
}"""


class Stranger(http.server.BaseHTTPRequestHandler):
    """Another site on this machine, whose page frames ours."""

    asked: list[str]
    page = b""

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: Any) -> None:
        pass


def test_text_never_becomes_code_no_other_host_is_asked_and_nobody_frames_a_page(
    laptop: BrowserContext, site: Site
) -> None:
    Stranger.asked, Stranger.page = [], f'<iframe src="{site.url}/"></iframe>'.encode()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stranger = f"http://127.0.0.1:{server.server_port}"
        page = laptop.new_page()
        page.goto(f"{site.url}/")
        page.get_by_role("heading", level=1).first.wait_for(timeout=WAIT_MS)
        told = page.evaluate(TRIED.replace("STRANGER", stranger))
        assert told == {"text": "refused", "inline": "refused", "stranger": "refused", "fetched": "refused"}
        assert Stranger.asked == []

        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(stranger)
        page.wait_for_timeout(1000)
        assert "frame-ancestors" in " ".join(refused)
        assert not any(frame.get_by_role("heading").count() for frame in page.frames[1:])
        server.shutdown()
