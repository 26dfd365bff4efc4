"""A real browser without a window, and a server that sees every request it makes, whatever the host."""

import html
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
VARIABLE = "FEWTUNE_BROWSER"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-features=NetworkTimeServiceQuerying",
)  # fmt: skip
"""No window, and no requests of the browser's own."""
MEASURE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body><script>
function measure(frame) {
  const page = frame.contentDocument, wide = page.documentElement.clientWidth, over = [];
  for (const one of page.querySelectorAll("body *")) {
    if (one.closest(".scroll") && !one.classList.contains("scroll")) continue;
    const box = one.getBoundingClientRect();
    if (box.width > 0 && (box.right > wide + 1 || box.left < -1)) over.push(one.outerHTML.slice(0, 120));
  }
  const count = (what) => page.querySelectorAll(what).length;
  return {
    width: wide, scroll: page.documentElement.scrollWidth, over: over, title: page.title, text: page.body.textContent,
    background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    counts: Object.fromEntries(["script", "img", "link", "iframe", "object", "a", "form", "[style]", "table", "svg",
      "svg > title", "caption", "th[scope]", "h1", "h2", "[onclick]", "[onload]", "[onerror]"].map(n => [n, count(n)])),
    hacked: String(frame.contentWindow.hacked) + String(window.hacked),
  };
}
const found = [], widths = WIDTHS;
for (const width of widths) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 900; frame.src = "PAGE";
  frame.onload = () => {
    found.push(measure(frame));
    if (found.length === widths.length) {
      const said = document.createElement("pre"); said.id = "measured"; said.textContent = JSON.stringify(found);
      document.body.append(said);
    }
  };
  document.body.append(frame);
}
</script>"""
"""A page of the test's own, with a script, that looks at the page in frames of several widths."""


def browser() -> str | None:
    """The browser to test with; None: there is none."""
    return os.environ.get(VARIABLE) or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def served(pages: dict[str, str]) -> Iterator[tuple[int, list[str]]]:
    """Serve these pages on a port of this machine; (port, requests as "host path" in the order they came)."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.headers.get('Host', '').partition(':')[0]} {self.path}")
            content = pages.get(self.path.lstrip("/"), "").encode()
            self.send_response(200 if content else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        server.server_close()


def opened(program: str, page: str, widths: list[int], folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Open the page in frames of these widths: what was measured in each, and every request beside the two pages."""
    harness = MEASURE.replace("WIDTHS", json.dumps(widths)).replace("PAGE", "/report.html")
    with served({"report.html": page, "measure.html": harness}) as (port, seen):
        done = subprocess.run(
            [program, *FLAGS, f"--user-data-dir={folder}", f"--host-resolver-rules=MAP * 127.0.0.1:{port}",
             "--window-size=1400,1000", "--virtual-time-budget=10000", "--dump-dom", "http://report.test/measure.html"],
            capture_output=True, text=True, timeout=90, check=True,
        )  # fmt: skip
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:] + done.stdout[-2000:]
    known = {"report.test /measure.html", "report.test /report.html"}
    measured = sorted(json.loads(html.unescape(found[1])), key=lambda one: one["width"])
    return measured, [request for request in seen if request not in known]
