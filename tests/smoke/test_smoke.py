"""What every wheel must do: a photograph to a file and back, from Python and from the shell."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import calotype

PHOTO = Path(__file__).parents[2] / "examples" / "miner-portrait.jpg"


def _psnr(a: Image.Image, b: Image.Image) -> float:
    error = np.asarray(a.convert("RGB"), np.float64) - np.asarray(b.convert("RGB"), np.float64)
    return float(10 * np.log10(255**2 / (error**2).mean()))


@pytest.mark.parametrize("tune", ["psnr", "eyes"])
def test_a_photograph_there_and_back(tune: str) -> None:
    with Image.open(PHOTO) as photo:
        photo.load()
    data = calotype.encode(photo, quality=60, tune=tune)
    assert len(data) < PHOTO.stat().st_size / 2
    assert _psnr(photo, calotype.decode(data)) > 30


def test_the_command_line(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        line = [sys.executable, "-m", "calotype", *words]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert metadata.version("calotype") in run("--version")
    run("encode", str(PHOTO), "-o", "photo.calo", "--target-size", "20k")
    assert (tmp_path / "photo.calo").stat().st_size <= 20_000
    run("decode", "photo.calo", "-o", "photo.png")
    with Image.open(PHOTO) as photo, Image.open(tmp_path / "photo.png") as decoded:
        assert _psnr(photo, decoded) > 25
