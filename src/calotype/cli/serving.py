"""The server of ``calotype view``: a fixed list of things, at addresses that nobody outside can guess.

What is not on the list does not exist, so no address leads anywhere else. A request must name the server as
127.0.0.1 or localhost, or a page from elsewhere could reach it by a name of its own that leads here. What is
sent to it must come from its own page, in a size that is known before it is read.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlsplit

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
"""Of the page's own files. Everything else is plain bytes, which no browser runs."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
BEAT = 0.5
"""Seconds between signs of life to a page that is open."""
PATIENCE = 3.0
"""Seconds without any open page, after there was one, that end the server: a page may be loaded anew."""

Content = Callable[[], bytes]
Work = Callable[[dict[str, str], bytes], bytes]
"""Makes something of an address's query and of bytes. Raises ValueError for those that it does not take."""


class Server(ThreadingHTTPServer):
    """Serves what is in ``things`` under a secret folder. ``root`` is its address."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        """Raises OSError when the port is taken."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = secrets.token_urlsafe(16)
        self.root = f"http://127.0.0.1:{self.server_port}/{self.token}/"
        self.things: dict[str, tuple[str, Content]] = {}
        self.works: dict[str, tuple[str, int, Work]] = {}
        self.working = threading.Lock()
        self.pages = 0
        self.seen = 0.0
        self.lock = threading.Lock()

    def add(self, name: str, content: Content | Path) -> str:
        """Puts a file, or what a function gives, under a name such as ``files/0/photo.calo``; returns its
        address relative to ``root``. A name may hold bytes that are no UTF-8, as names of files may."""
        kind = TYPES.get(Path(name).suffix, "application/octet-stream")
        if name.startswith("files/"):
            kind = "application/octet-stream"
        self.things[name] = kind, content.read_bytes if isinstance(content, Path) else content
        return quote(name, errors="surrogateescape")

    def take(self, name: str, kind: str, most: int, work: Work) -> None:
        """Answers what the page sends under a name with what a function makes of it, one after the other.

        kind: the type of what is made; most: bytes that may be sent
        """
        self.works[name] = kind, most, work

    def handle_error(self, request: object, client_address: object) -> None:
        """A page that is closed or loaded anew hangs up in the midst of an answer: nothing to tell of."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def run(self, stay: bool) -> None:
        """Serves until Ctrl-C, and without ``stay`` until the last page is closed."""
        thread = threading.Thread(target=partial(self.serve_forever, poll_interval=0.2), daemon=True)
        thread.start()
        try:
            while stay or not self._left():
                time.sleep(0.2)
        finally:
            self.shutdown()
            self.server_close()

    def _left(self) -> bool:
        with self.lock:
            return self.seen > 0 and self.pages == 0 and time.monotonic() - self.seen > PATIENCE


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        self._answer(True)

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_POST(self) -> None:
        self.close_connection = True  # what is refused is not read
        name = self._name()
        if name is None:
            return
        if self.headers.get("Origin") not in {f"http://{host}" for host in self._own()}:
            return self._refuse(HTTPStatus.FORBIDDEN)
        if name not in self.server.works:
            return self._refuse(HTTPStatus.NOT_FOUND)
        kind, most, work = self.server.works[name]
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self._refuse(HTTPStatus.LENGTH_REQUIRED)
        if len(length) > 12 or int(length) > most:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(int(length))
        try:
            with self.server.working:
                data = work(dict(parse_qsl(urlsplit(self.path).query)), body)
        except ValueError:
            return self._refuse(HTTPStatus.BAD_REQUEST)
        self._head(HTTPStatus.OK, kind, len(data))
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what is asked for is of no interest."""

    def _own(self) -> set[str]:
        return {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}

    def _name(self) -> str | None:
        """What is asked for under the secret folder; None if it was refused."""
        if self.headers.get("Host") not in self._own():
            self._refuse(HTTPStatus.FORBIDDEN)
            return None
        path = unquote(urlsplit(self.path).path, errors="surrogateescape")
        _, token, name = [*path.split("/", 2), "", ""][:3]
        if not secrets.compare_digest(token.encode(errors="surrogateescape"), self.server.token.encode()):
            self._refuse(HTTPStatus.NOT_FOUND)
            return None
        return name

    def _answer(self, body: bool) -> None:
        name = self._name()
        if name is None:
            return None
        if name == "alive" and body:
            return self._beat()
        found = self.server.things.get(name or "index.html")
        if found is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        kind, content = found
        try:
            data = content()
        except OSError:
            return self._refuse(HTTPStatus.GONE)  # a file that was there when the command began
        self._head(HTTPStatus.OK, kind, len(data))
        if body:
            self.wfile.write(data)

    def _refuse(self, status: HTTPStatus) -> None:
        text = f"{status.value} {status.phrase}\n".encode()
        self._head(status, "text/plain; charset=utf-8", len(text))
        if self.command != "HEAD":
            self.wfile.write(text)

    def _head(self, status: HTTPStatus, kind: str, size: int | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if size is not None:
            self.send_header("Content-Length", str(size))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()

    def _beat(self) -> None:
        """Server-sent events without content, as long as the page listens."""
        with self.server.lock:
            self.server.pages += 1
        try:
            self.close_connection = True
            self._head(HTTPStatus.OK, "text/event-stream", None)
            while True:
                self.wfile.write(b":\n\n")
                time.sleep(BEAT)
        except OSError:
            pass  # it was closed
        finally:
            with self.server.lock:
                self.server.pages -= 1
                self.server.seen = time.monotonic()
