"""An interrupt at any time: no unfinished file stays, every finished one is whole, and the status says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import calotype
from calotype import _interrupt

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
    pytest.mark.usefixtures("interruptible"),
]


def start(*arguments: object) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-m", "calotype", *map(str, arguments)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        if condition() or process.poll() is not None:
            return
        time.sleep(0.01)
    process.kill()
    raise AssertionError("the command did nothing for a minute")


@pytest.mark.parametrize(
    ("workers", "number", "status"),
    [
        (3, signal.SIGINT, 130),
        (1, signal.SIGTERM, 143),
        pytest.param(1, signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(3, signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
def test_in_the_middle_of_many(
    tmp_path: Path, make_scene: Any, workers: int, number: int, status: int
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    make_scene(400, 300).save(photos / "000.png")
    for index in range(1, 200):
        os.link(photos / "000.png", photos / f"{index:03}.png")
    process = start("encode", photos, out, "--workers", workers, "-q", 20)
    wait_for(lambda: out.is_dir() and len(list(out.glob("*.calo"))) >= 2, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert errors == b"calotype: interrupted\n"
    files = list(out.iterdir())
    assert 2 <= len(files) < 200
    for path in files:
        assert path.suffix == ".calo"
        assert calotype.probe(path)["error"] is None


def test_while_writing(tmp_path: Path, make_scene: Any) -> None:
    """The output is a pipe that nobody reads, so the command hangs in its write when the signal comes."""
    (tmp_path / "photo.calo").write_bytes(calotype.encode(make_scene(400, 300), quality=100))
    os.mkfifo(tmp_path / "pipe")
    process = start("decode", tmp_path / "photo.calo", "-o", tmp_path / "pipe", "--format", "bmp")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY)  # returns when the command has opened it to write
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    os.close(reader)
    assert process.returncode == 130
    assert errors == b"calotype: interrupted\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.calo", "pipe"]


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path, make_scene: Any) -> None:
    picture = make_scene(500, 400)  # more than a pipe holds
    (tmp_path / "photo.calo").write_bytes(calotype.encode(picture, quality=95))
    process = start("decode", tmp_path / "photo.calo", "-", "--format", "bmp", "--quiet")
    assert process.stdout is not None
    assert process.stdout.read(2) == b"BM"
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert b"Traceback" not in errors
    assert errors.count(b"\n") <= 1


# The command as pip makes it, interrupted by itself when a module is looked for, or when Python ends.
COMMAND = """
import atexit, os, signal, sys

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[-1]:
            interrupt()

sys.meta_path.insert(0, Finder())
if sys.argv[-1] == "the end":
    atexit.register(interrupt)
from calotype.cli import main
sys.exit(main(sys.argv[1:-1]))
"""


@pytest.mark.parametrize(
    "moment",
    ["PIL", "calotype.plugins", "calotype.cli", "calotype.cli.encode", "numpy", "calotype._rans", "the end"],
)
def test_while_the_command_starts_or_ends(tmp_path: Path, make_scene: Any, moment: str) -> None:
    (tmp_path / "calotype").write_text(COMMAND)
    make_scene().save(tmp_path / "photo.png")
    line = [sys.executable, tmp_path / "calotype", "encode", tmp_path / "photo.png", "--quiet", moment]
    done = subprocess.run(line, capture_output=True, timeout=120, check=False)
    assert done.returncode == 130
    assert done.stderr == b"calotype: interrupted\n"
    written = (tmp_path / "photo.calo").exists()
    if written:
        assert calotype.probe(tmp_path / "photo.calo")["error"] is None
    if moment != "calotype._rans":  # looked for by a worker, which may be done before the signal arrives
        assert written == (moment == "the end")


@pytest.mark.parametrize(
    ("first", "line", "expected"),
    [
        ("/usr/bin/calotype", ["python", "/usr/bin/calotype", "encode"], True),
        ("-m", ["python", "-X", "dev", "-m", "calotype", "probe"], True),
        ("-m", ["python", "-m", "gallery", "calotype"], False),
        ("/usr/bin/pytest", ["python", "/usr/bin/pytest", "calotype"], False),
        ("", ["python"], False),
    ],
)
def test_only_the_command_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, first: str, line: list[str], expected: bool
) -> None:
    monkeypatch.setattr(sys, "argv", [first])
    monkeypatch.setattr(sys, "orig_argv", line)
    assert _interrupt.is_command() == expected


def test_importing_the_package_changes_no_signal() -> None:
    script = "import signal, calotype, calotype.cli as c; c.main(['--version']); " + (
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


REFINES = """
import os, signal, threading
import calotype, numpy as np
from calotype.codec.effort.slopes import Slopes

steps, run = [], Slopes.run

def counted(*given):
    steps.append(1)
    if len(steps) == 5:
        os.kill(os.getpid(), signal.SIGINT)
    return run(*given)

Slopes.run = counted
try:
    calotype.encode(np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8), effort=9, tune="psnr")
except KeyboardInterrupt:
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()  # as Python does when it exits
    print(len(steps))
"""


def test_a_program_that_refines_ends(tmp_path: Path) -> None:
    """The search of 160 steps is given up, so that Python, which waits for its threads, can exit."""
    pytest.importorskip("onnxruntime")
    done = subprocess.run(
        [sys.executable, "-c", REFINES], stdout=subprocess.PIPE, timeout=120, text=True, check=True
    )
    assert 5 <= int(done.stdout) < 20
