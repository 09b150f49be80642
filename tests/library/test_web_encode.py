"""web/decoder/encoder.js under Node: the same bytes as calotype.encode makes of photographs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.golden import scene
from tests.library.test_web import TINY, WEB, node

from calotype.api import to_picture
from calotype.bitstream import Header
from calotype.cli import demo
from calotype.codec import aim, library
from calotype.codec.analysis import Analysis
from calotype.codec.encoder import encode

SCRIPT = Path(__file__).parent / "encode.mjs"
POOL = ThreadPoolExecutor(1)
UNUSUAL = {"quality": 96}
"""A quality that is the program's alone."""


def rgba(pixels: np.ndarray) -> np.ndarray:
    """What a canvas gives of pixels [H, W, C], grey or RGB, with alpha or without."""
    channels = pixels.shape[2]
    colour = pixels[:, :, :3] if channels > 2 else np.repeat(pixels[:, :, :1], 3, axis=2)
    alpha = pixels[:, :, -1:] if channels % 2 == 0 else np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return np.concatenate([colour, alpha], axis=2)


class Cases:
    """Pictures for the script, and what it is to find."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.given, self.wanted = folder, [], []
        with zipfile.ZipFile(TINY) as archive:
            archive.extractall(folder / "tiny")

    def add(self, pixels: np.ndarray, wishes: list[dict[str, Any]], name: str | None = None) -> None:
        """name: of a pack that ships, instead of the tiny one."""
        pack = library.load(name or self.folder / "tiny")
        places = [str(path) for path in library.paths()] if name else [str(pack.path)]
        self.add_raw(rgba(pixels), places, name, wishes)
        made = [encode(to_picture(pixels), pack=pack, threads=1, **wish).data for wish in wishes]
        self.wanted.append([hashlib.sha256(data).hexdigest() for data in made])

    def add_raw(
        self,
        data: np.ndarray,
        packs: list[str],
        pack: str | None = None,
        wishes: list[dict[str, Any]] | None = None,
        **other: Any,
    ) -> None:
        raw = self.folder / f"{len(self.given)}.raw"
        data.tofile(raw)
        height, width = data.shape[:2]
        case = {"packs": packs, "width": width, "height": height, "raw": str(raw), "wishes": wishes or [{}]}
        self.given.append({**case, **({"pack": pack} if pack else {}), **other})

    def run(self) -> list[dict[str, Any]]:
        cases = self.folder / "cases.json"
        cases.write_text(json.dumps(self.given), "utf-8")
        command = [node(), SCRIPT, WEB / "encoder.js", WEB / "encode.wasm", cases]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    return Cases(tmp_path)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """Part of a photograph, 357 x 341 pixels: thin borders of 5 pixels beyond whole latents."""
    with Image.open(demo.PHOTO) as image:
        return np.asarray(image.convert("RGB"))[300:641, 400:757]


def test_the_bytes_of_the_program(cases: Cases, photo: np.ndarray) -> None:
    levels = [{"quality": 20}, {"quality": 80.5}, {"quality": 95}, {"level": 700}]
    cases.add(photo, levels, "photo-eyes")
    cases.add(photo, [{"quality": 60}, {"quality": 100}], "photo-psnr")
    wide = np.tile(photo[:70], (1, 4, 1))[:, :1100]  # two tiles
    alpha = (1 + np.add.outer(np.arange(70), np.arange(1100)) % 255).astype(np.uint8)
    cases.add(wide, [{"quality": 40}])
    cases.add(wide[:, :, :1], [{"quality": 40}, {"quality": 100}])
    cases.add(np.dstack([wide, alpha]), [{"quality": 70}, {"quality": 100}, {"level": 3}])
    cases.add(np.dstack([wide[:, :, 0], alpha])[:, :65], [{"quality": 10}])
    for found, wanted, given in zip(cases.run(), cases.wanted, cases.given, strict=True):
        assert found == {**found, "files": wanted, "given": "AbortError", "again": wanted[0], "note": ""}, (
            given
        )


def test_windows_are_looked_at_as_by_the_program(cases: Cases) -> None:
    with Image.open(demo.PHOTO) as image:
        pixels = np.asarray(image.convert("RGB"))[:390, :530]  # three windows by four, and borders
    wishes = [{"quality": 33.3}, {"quality": 60}, {"quality": 71.5}, {"quality": 88}]
    plain = library.load("photo-eyes")
    for picture in (pixels, pixels[:, :, 1:2]):
        cases.add(picture, wishes, "photo-eyes")
        analysis = Analysis(
            rgba(picture)[:, :, :3], Header(530, 390, 0, plain.key, 1024), plain, (1, 1), POOL
        )
        # Without a glance the level would be another.
        forecast, glanced = (aim.ladder(analysis, quality).level_of(60) for quality in (None, 60))
        assert abs(forecast - glanced) > 2
    for found, wanted in zip(cases.run(), cases.wanted, strict=True):
        assert found["files"] == wanted


@pytest.mark.slow
def test_large_pictures_are_looked_at_coarsely(cases: Cases) -> None:
    """More than 4096 latents: every second one each way tells the look."""
    pixels = np.tile(scene(512, 512, 5), (2, 3, 1))[:1000, :1100]
    cases.add(pixels, [{"quality": 70}], "photo-eyes")
    (found,) = cases.run()
    assert found["files"] == cases.wanted[0]


def test_drawings_are_without_loss_where_that_takes_no_more(cases: Cases) -> None:
    """As the program has them, in tiles for pages, too. Others, and those of a level, have a note."""
    page = np.full((40, 1100, 3), 255, np.uint8)
    page[20:36:9, 30:270] = (20, 30, 90)
    cases.add(page, [{"quality": 80}, {"quality": 100}, {"quality": 20}])
    cases.add_raw(rgba(page), [str(cases.folder / "tiny")], wishes=[{"level": 1}, {"quality": 100}])
    mixed = page.copy()
    mixed[:, 600:900] = scene(40, 300, 3)
    cases.add_raw(rgba(mixed), [str(cases.folder / "tiny")], wishes=[{"quality": 80}, {"quality": 100}])
    drawing, at_level, beside = cases.run()
    assert drawing["files"] == cases.wanted[0]
    assert len(set(drawing["files"])) == 1
    assert drawing["note"] == ""
    assert at_level["files"][1] == drawing["files"][0] != at_level["files"][0]
    for found in (at_level, beside):
        assert "calotype encode" in found["note"]
        assert found["files"][0] != found["files"][1]


def test_what_cannot_be_encoded_says_why(cases: Cases) -> None:
    tiny, picture = [str(cases.folder / "tiny")], rgba(scene(20, 30, 1))
    wrong = [UNUSUAL, {"quality": -1}, {"quality": 100.5}, {"level": 1e4}, {"level": 1.5}, {"level": -1}]
    cases.add_raw(picture, tiny, wishes=[{}, *wrong, {"quality": None}])
    cases.add_raw(rgba(np.zeros((1, (1 << 20) + 16, 3), np.uint8)), tiny)
    cases.add_raw(picture, tiny, width=31)
    cases.add_raw(picture, tiny, width=0, height=0)
    cases.add_raw(picture, tiny, "photo-eyes")
    cases.add_raw(picture, [])
    for name in ("encoder.safetensors", "tables.safetensors"):
        hurt = cases.folder / f"hurt {name}"
        with zipfile.ZipFile(TINY) as archive:
            archive.extractall(hurt)
        data = bytearray((hurt / name).read_bytes())
        data[len(data) // 2] ^= 1
        (hurt / name).write_bytes(data)
        cases.add_raw(picture, [str(hurt)])
    found = cases.run()
    assert [file["error"] for file in found[0]["files"][1:-1]] == ["argument"] * len(wrong)
    assert found[0]["again"] == found[0]["files"][0] == found[0]["files"][-1]  # null is no wish
    assert found[0]["packId"] == library.load(TINY).manifest.id[:8]
    kinds = ["limit", "argument", "argument", "pack", "pack", "pack", "pack"]
    assert [file.get("error") for file in found[1:]] == kinds
    assert "16 megapixels" in found[1]["message"]
    assert "photo-eyes" in found[4]["message"]
    assert all("\n" not in file["message"] for file in found[1:])


def test_the_module_is_small() -> None:
    parts = ("encoder.js", "encode.js", "encode-worker.js", "library.js", "encode.wasm")
    assert sum((WEB / name).stat().st_size for name in parts) < 330_000
