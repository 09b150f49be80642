"""What ``calotype view`` serves, and what it does not."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import io
import json
import os
import re
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calotype.cli import main, rivals, view
from calotype.cli.serving import Server

from .conftest import Outcome


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "secret.txt").write_text("not for you")
    (tmp_path / "a b.calo").write_bytes(b"a file")
    (tmp_path / "page.html").write_text("<script>1</script>")
    with Server() as server:
        page = view.home()
        for name in view.files(page):
            server.add(name, page / name)
        for number, name in enumerate(("a b.calo", "page.html")):
            server.add(f"files/{number}/{name}", tmp_path / name)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def ask(server: Server, path: str, method: str = "GET", host: str | None = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def test_the_page_and_the_files_that_are_named(server: Server) -> None:
    root = f"/{server.token}/"
    page = ask(server, root)
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "script-src 'self' 'wasm-unsafe-eval';" in page.headers["Content-Security-Policy"]
    assert ask(server, f"{root}app.js").headers["Content-Type"].startswith("text/javascript")
    assert ask(server, f"{root}decoder/calotype.wasm").headers["Content-Type"] == "application/wasm"
    file = ask(server, f"{root}files/0/a%20b.calo")
    assert (file.content, file.headers["Content-Type"]) == (b"a file", "application/octet-stream")
    # A page that is given as a picture is bytes, not a page.
    assert ask(server, f"{root}files/1/page.html").headers["Content-Type"] == "application/octet-stream"
    head = ask(server, f"{root}files/0/a%20b.calo", "HEAD")
    assert (head.status, head.content, head.headers["Content-Length"]) == (200, b"", "6")


@pytest.mark.parametrize(
    "path",
    [
        "/", "/index.html", "/x/index.html", "//index.html", "{root}files/0/../../secret.txt",
        "{root}files/0/%2e%2e/secret.txt", "{root}files/0/secret.txt", "{root}files/0/", "{root}/etc/passwd",
        "{root}..%2f..%2fetc%2fpasswd", "{root}decoder/build.sh", "{root}\\..\\secret.txt",
        "/%00", "{root}%ff",
    ],
)  # fmt: skip
def test_nothing_else(server: Server, path: str) -> None:
    answer = ask(server, path.replace("{root}", f"/{server.token}/"))
    assert answer.status == 404
    assert answer.content == b"404 Not Found\n"


def test_only_for_this_machine_by_its_own_name(server: Server) -> None:
    """A page elsewhere whose name leads to 127.0.0.1 gets nothing."""
    assert server.server_address[0] == "127.0.0.1"
    assert ask(server, f"/{server.token}/", host="evil.example").status == 403
    assert ask(server, f"/{server.token}/", host=f"localhost:{server.server_port}").status == 200
    assert len(server.token) >= 20


def send(server: Server, path: str, body: bytes = b"", **headers: str | None) -> tuple[int, bytes]:
    """A POST as the page would send it, but for the headers that are given; None leaves one out."""
    own = f"127.0.0.1:{server.server_port}"
    usual = {"Host": own, "Origin": f"http://{own}", "Content_Length": str(len(body))}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest("POST", f"/{server.token}/{path}", skip_host=True)
    for name, value in (usual | headers).items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    with contextlib.suppress(OSError):  # it may be refused before it is read
        connection.send(body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_only_its_own_page_may_send_something(server: Server) -> None:
    heard = []

    def work(query: dict[str, str], body: bytes) -> bytes:
        heard.append((query, body))
        if "bad" in query:
            raise ValueError("bad")
        return body[::-1]

    server.take("reverse", "image/avif", 5, work)
    assert send(server, "reverse?a=1", b"abcde") == (200, b"edcba")
    assert heard == [({"a": "1"}, b"abcde")]
    for origin in (None, "null", "http://evil.example", f"https://127.0.0.1:{server.server_port}"):
        assert send(server, "reverse", b"abc", Origin=origin)[0] == 403
    assert send(server, "reverse", b"abc", Host="evil.example")[0] == 403
    assert send(server, "reverse", b"abcdef")[0] == 413
    assert send(server, "reverse", b"abc", Content_Length="9" * 5000)[0] == 413
    for length in (None, "-1", "1e1", ""):
        assert send(server, "reverse", b"abc", Content_Length=length)[0] == 411
    for path in ("", "index.html", "other", "../reverse"):
        assert send(server, path, b"abc")[0] == 404
    assert send(server, "", b"abc", Origin=None)[0] == 403
    assert len(heard) == 1
    assert send(server, "reverse?bad=1", b"abc") == (400, b"400 Bad Request\n")
    assert ask(server, f"/{server.token}/reverse").status == 404  # nothing to get


def test_a_page_that_hangs_up_is_no_matter(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    asked = threading.Event()
    ended = threading.Event()

    def much() -> bytes:
        asked.set()
        return bytes(1 << 24)

    shut = server.shutdown_request

    def shut_and_tell(request: Any) -> None:
        shut(request)
        ended.set()

    server.shutdown_request = shut_and_tell  # type: ignore[method-assign]
    server.add("much", much)
    with socket.create_connection(("127.0.0.1", server.server_port)) as line:
        # Closed without a farewell: what is still to be sent fails.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        name = f"/{server.token}/much"
        line.sendall(f"GET {name} HTTP/1.1\r\nHost: 127.0.0.1:{server.server_port}\r\n\r\n".encode())
        assert asked.wait(60)
    assert ended.wait(60)
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="names that are bytes")
def test_a_name_that_is_no_text(server: Server, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.calo")
    path.write_bytes(b"coffee")
    place = server.add(f"files/2/{path.name}", path)
    assert ask(server, f"/{server.token}/{place}").content == b"coffee"


def test_a_file_that_has_gone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a b.calo").unlink()
    assert ask(server, f"/{server.token}/files/0/a%20b.calo").status == 410


def test_the_page_for_any_web_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "public"
    assert main(["view", "--copy-to", str(target)]) == 0
    places = json.loads((target / "decoder" / "packs.json").read_text("utf-8"))
    assert [(target / "decoder" / place / "manifest.json").is_file() for place in places] == [True, True]
    # All that the page names is there.
    page = (target / "index.html").read_text("utf-8")
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (target / name).is_file(), name
    for script in target.rglob("*.js"):
        for name in re.findall(r'from "(\.[^"]+)"', script.read_text("utf-8")):
            assert (script.parent / name).is_file(), f"{script.name}: {name}"
    assert len(list(target.rglob("encoder.safetensors*"))) == 2
    for manifest in target.rglob("manifest.json"):
        fields, part = json.loads(manifest.read_text("utf-8")), manifest.with_name("preview.safetensors.gz")
        assert hashlib.sha256(gzip.decompress(part.read_bytes())).hexdigest() == fields["preview"]
        assert part.stat().st_size < manifest.with_name("networks.safetensors.gz").stat().st_size / 5
    capsys.readouterr()
    assert main(["view", "--copy-to", str(target)]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert main(["view", "--copy-to", str(tmp_path / "other"), "photo.calo"]) == 2
    assert "name no FILE with it" in capsys.readouterr().err


def test_avif_of_what_the_page_sends() -> None:
    if "AVIF" not in rivals.names():
        pytest.skip("this Pillow writes no AVIF")
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[..., 1], pixels[..., 3] = np.arange(24).reshape(4, 6) * 10, 255

    def made(pixels: np.ndarray, **query: int | str) -> Image.Image:
        given = {"width": 6, "height": 4, "quality": 90, **query}
        named = {name: str(value) for name, value in given.items()}
        return Image.open(io.BytesIO(view._avif(named, pixels.tobytes())))

    assert (made(pixels).size, made(pixels).mode) == ((6, 4), "RGB")
    assert np.abs(np.asarray(made(pixels)).astype(int) - pixels[..., :3]).max() < 20
    pixels[0, 0, 3] = 0
    assert made(pixels).mode == "RGBA"
    for wrong in (
        {"width": 5},
        {"width": 0},
        {"width": -6, "height": -4},
        {"quality": 101},
        {"height": "x"},
        {"quality": ""},
    ):
        with pytest.raises(ValueError, match=r"the quality is none|invalid literal"):
            made(pixels, **wrong)


def test_what_it_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing.calo")
    for arguments in ([missing], ["--pack", missing]):
        status = main(["view", "--no-browser", *arguments])
        complaint = Outcome(status, *capsys.readouterr()).complaint
        assert arguments[-1] in complaint
    assert main(["view", "--port", "70000"]) == 2
    assert "--port must be from 0 to 65535, is 70000" in capsys.readouterr().err
