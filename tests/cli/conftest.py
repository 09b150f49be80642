"""What the tests of the command line share."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calotype.cli import main

collect_ignore: list[str] = []
if importlib.util.find_spec("torch") is None:  # a user's installation, without the laboratory
    collect_ignore += ["test_gate.py", "test_iterations.py", "test_lab.py", "test_models.py"]


@dataclass
class Outcome:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def complaint(self) -> str:
        """The one line on stderr of a command that failed for a reason that is not its usage."""
        assert self.status == 1, self
        assert self.err.count("\n") == 1, self
        assert self.err.startswith("calotype: "), self
        return self.err.removeprefix("calotype: ").rstrip("\n")


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _pillow_limits() -> Iterator[None]:
    """The command line sets Pillow's limit for its process, which here it shares with other tests."""
    limit = Image.MAX_IMAGE_PIXELS
    yield
    Image.MAX_IMAGE_PIXELS = limit


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process."""

    def command(*arguments: object) -> Outcome:
        capfd.readouterr()
        status = main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return Outcome(status, printed.out, printed.err)

    return command


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run a command as a process of its own."""

    def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
        line = [sys.executable, "-m", "calotype", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, timeout=120, check=False, **options)

    return command


def scene(width: int = 48, height: int = 32, seed: int = 0) -> Image.Image:
    """A small picture; different seeds give different ones."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 90 * np.sin((x + (c + seed + 1) * y) / (7 + 3 * c)) for c in range(3)]
    return Image.fromarray(np.stack(planes, -1).astype(np.uint8))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """photo.png, 48 x 32, alone in a folder."""
    path = tmp_path / "photo.png"
    scene().save(path)
    return path


@pytest.fixture
def coded(photo: Path, run: Run) -> Path:
    """photo.calo beside photo.png."""
    assert run("encode", photo, "-q", 50).status == 0
    return photo.with_suffix(".calo")


@pytest.fixture
def make_scene() -> Callable[..., Image.Image]:
    return scene


@pytest.fixture(scope="session")
def photograph() -> Callable[[int, int, int], np.ndarray]:
    """photograph(height, width, seed): waves, edges and noise, uint8 [height, width, 3]."""

    def made(height: int, width: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        planes = [110 + 50 * np.sin(x / 31 + p) * np.cos(y / 23 - p) for p in rng.uniform(0, 6.28, 3)]
        edges = 40 * ((x // 37 + (y + 0.3 * x) // 53) % 2)
        noisy = [plane + edges + rng.normal(0, 5, plane.shape) for plane in planes]
        return np.clip(np.stack(noisy, axis=2), 0, 255).astype(np.uint8)

    return made


@pytest.fixture(scope="module")
def images(
    tmp_path_factory: pytest.TempPathFactory, photograph: Callable[[int, int, int], np.ndarray]
) -> Path:
    """A folder of two small pictures."""
    folder = tmp_path_factory.mktemp("images")
    for k in range(2):
        Image.fromarray(photograph(96, 144, k)).save(folder / f"{k}.png")
    return folder
