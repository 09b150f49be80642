"""A real Chromium, and a web server that can hold back what it sends."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image
from tests.conftest import TINY
from tests.golden import scene

import calotype
from calotype.api import to_picture
from calotype.cli import view
from calotype.cli.serving import TYPES
from calotype.codec.encoder import encode

WAIT = 120_000
"""Milliseconds to wait at most: a machine may be busy. Nothing is measured by it."""
NEEDED = "CALOTYPE_NEEDS_CHROMIUM"
"""Set where these tests must not be left out: in continuous integration."""


def lacking(why: str) -> Any:
    """Leaves the tests out, with the reason; where they must not be, fails."""
    reason = f"the tests of the web pages need {why}"
    if os.environ.get(NEEDED):
        pytest.fail(f"{reason}, and {NEEDED} says that they must run here")
    pytest.skip(reason)


def chromium_path() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    found = os.environ.get("CALOTYPE_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    return found or lacking("Chromium (Debian: chromium; CALOTYPE_CHROMIUM may name another)")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = chromium_path()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("Playwright (pip install '.[web]')")
    with sync_playwright() as playwright:
        # Without its sandbox Chromium also runs as root, in containers; it sees nothing but these tests.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@dataclass
class Site:
    """A web server's content, by path. A gated file stops after so many bytes until its gate is opened."""

    root: str = ""
    things: dict[str, bytes] = field(default_factory=dict)
    gates: dict[str, tuple[int, threading.Event]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        path = "/index.html" if path == "/" else path
        self.site.asked.append(path)
        data = self.site.things.get(path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Type", TYPES.get(Path(path).suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(data or b"")))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "HEAD":
            return
        first, gate = self.site.gates.get(path, (len(data or b""), None))
        try:
            self.wfile.write((data or b"")[:first])
            if gate is not None:
                self.wfile.flush()
                gate.wait(WAIT / 1000)
                self.wfile.write((data or b"")[first:])
        except OSError:
            pass  # the page did not want the rest


def serve(things: dict[str, bytes]) -> tuple[Site, ThreadingHTTPServer]:
    site = Site(things=things)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": site}))
    server.daemon_threads = True
    threading.Thread(
        target=server.serve_forever, args=(0.02,), daemon=True
    ).start()  # or it ends half a second late
    site.root = f"http://127.0.0.1:{server.server_port}/"
    return site, server


@pytest.fixture
def site() -> Iterator[Site]:
    """The viewer's page as anybody may serve it, with the tiny pack."""
    page = view.home()
    things = {f"/{name}": (page / name).read_bytes() for name in view.files(page)}
    things["/decoder/packs.json"] = b'["../tiny"]'
    with zipfile.ZipFile(TINY) as archive:
        things |= {f"/tiny/{name}": archive.read(name) for name in archive.namelist()}
    site, server = serve(things)
    yield site
    for _, gate in site.gates.values():
        gate.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page on which nothing may go wrong unnoticed."""
    context = browser.new_context(viewport={"width": 900, "height": 700}, accept_downloads=True)
    context.set_default_timeout(WAIT)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: wrong.append(f"dialog {dialog.message}") or dialog.dismiss())
    yield page
    context.close()
    assert wrong == []


def calo(picture: Any, **options: Any) -> bytes:
    """A file of the tiny pack."""
    return encode(to_picture(picture), pack=TINY, **{"tile": 64, "quality": 60, **options}).data


def decoded(data: bytes, **options: Any) -> np.ndarray:
    """RGBA pixels by the native decoder."""
    return np.asarray(calotype.decode(data, pack=TINY, **options).convert("RGBA"))


def png(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def damaged(data: bytes) -> bytes:
    """With a bit of the second tile changed."""
    hurt = bytearray(data)
    hurt[calotype.probe(data)["chunks"][1]["offset"] + 9] ^= 4
    return bytes(hurt)


@pytest.fixture(scope="session")
def long() -> bytes:
    """300 x 180 pixels in 15 tiles, several kilobytes: of the first one browsers keep some to themselves."""
    data = calo(np.kron(scene(90, 150, 3), np.ones((2, 2, 1), np.uint8)), quality=95)
    assert len(data) > 4000
    return data


@pytest.fixture(scope="session")
def photo() -> bytes:
    """150 x 90 pixels in six tiles."""
    return calo(scene(90, 150, 3))


# Numbers one by one would take Playwright minutes.
SHOWN = """async ([width, height]) => {
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  const canvas = document.getElementById("view");
  // As stage.js rounds: halves go up, of what may be negative too.
  const [x, y] = [Math.round((canvas.width - width) / 2), Math.round((canvas.height - height) / 2)];
  const {data} = canvas.getContext("2d").getImageData(x, y, width, height);
  return btoa(Array.from(data, byte => String.fromCharCode(byte)).join(""));
}"""


def rgba(values: str, width: int, height: int) -> np.ndarray:
    """Pixels from what a page gives of an ImageData, in base64."""
    return np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width, 4)


def shown(page: Any, width: int, height: int) -> np.ndarray:
    """What the canvas shows of a picture of this size that is in its middle pixel for pixel, RGBA."""
    return rgba(page.evaluate(SHOWN, [width, height]), width, height)


def wait(page: Any, state: str, side: str = "left") -> None:
    """Waits until a side of the page is as wanted, or failed."""
    page.wait_for_selector(f"#stage[data-{side}={state}], #stage[data-{side}=failed]", state="attached")
    assert page.get_attribute("#stage", f"data-{side}") == state, page.inner_text("#message")


def drop(page: Any, *files: tuple[str, bytes]) -> None:
    """Drops files on the page."""
    page.evaluate(
        """files => {
          const moved = new DataTransfer();
          for (const [name, text] of files)
            moved.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt())], name));
          const how = {dataTransfer: moved, bubbles: true, cancelable: true};
          document.body.dispatchEvent(new DragEvent("drop", how));
        }""",
        [[name, base64.b64encode(data).decode()] for name, data in files],
    )


@pytest.fixture
def calotype_view(tmp_path: Path, photo: bytes, interruptible: None) -> Any:
    """Starts the command with a file and its original; gives the process and the address that it says."""
    (tmp_path / "a photo.calo").write_bytes(photo)
    Image.fromarray(scene(90, 150, 3)).save(tmp_path / "original.png")
    started = []

    def start(*options: str) -> tuple[Any, str]:
        command = [sys.executable, "-m", "calotype", "view", "--no-browser", "a photo.calo", "original.png"]
        process = subprocess.Popen(
            [*command, *options],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "CALOTYPE_PACKS": str(TINY)},
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()
