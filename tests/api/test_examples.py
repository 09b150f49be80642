"""The examples run, and their photographs have licences."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image, ImageOps

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_roundtrip(tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.open(EXAMPLES / "miner-portrait.jpg").resize((120, 80)).save(small)
    line = [sys.executable, str(EXAMPLES / "roundtrip.py"), str(small)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["quality", "bytes", "bpp", "PSNR"]
    assert [row.split()[0] for row in rows] == ["10", "30", "50", "70", "90"]


def test_every_photograph_has_its_licence_beside_it() -> None:
    photos = list(EXAMPLES.glob("*.jpg"))
    assert photos
    for photo in photos:
        assert photo.name in (EXAMPLES / "README.md").read_text(encoding="utf-8")


def test_the_miner_is_upright_when_shown() -> None:
    shown = ImageOps.exif_transpose(Image.open(EXAMPLES / "miner-portrait.jpg"))
    assert shown.size == (640, 960)
