"""JPEG, WebP and AVIF of the size of a file that is made in the page, in Chromium."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.golden import scene
from tests.web.conftest import Site, drop, png, shown, wait

from calotype.cli import rivals, view

needs_avif = pytest.mark.skipif("AVIF" not in rivals.names(), reason="this Pillow writes no AVIF")
PHOTO = np.ascontiguousarray(np.kron(scene(90, 150, 3), np.ones((2, 2, 1), np.uint8)))
"""300 x 180 pixels: of smaller pictures a file is mostly its header."""


def encoded(page: Any, quality: str = "80", pixels: np.ndarray = PHOTO) -> int:
    """Has the page make a file of the photograph; its size in bytes."""
    drop(page, ("photo.png", png(pixels)))
    wait(page, "done")
    page.click("#encode")
    page.fill("#quality", quality)
    page.wait_for_selector("#savecalo:not([disabled])")
    return size_of(page.inner_text("#made"))


def size_of(text: str) -> int:
    count, unit = re.search(r"([\d.]+) (bytes|kB)", text).groups()
    return round(float(count) * {"bytes": 1, "kB": 1000}[unit])


def beside(page: Any, kind: str) -> tuple[float, int, str]:
    """Asks for another codec's file: its quality, its size in bytes, and what is said of it."""
    page.click(f"#{kind.lower()}")
    page.locator("#right option:checked", has_text=f"({kind},").wait_for(state="attached")
    wait(page, "done", "right")
    said = page.inner_text("#status").split(" | ")[1]
    assert page.inner_text("#nameleft") == "photo.calo"
    return float(re.search(r"quality ([\d.]+)\)", said)[1]), size_of(said.split(" · ", 2)[2]), said


def test_files_of_the_browser_are_of_the_same_size(site: Site, page: Any) -> None:
    page.goto(site.root)
    size = encoded(page, "95")
    for kind in ("JPEG", "WebP"):
        _, other, said = beside(page, kind)
        assert abs(other - size) <= 0.03 * size + 100, said  # it is told to 0.1 kB
        assert re.search(r"the same size|% (smaller|larger)$", said), said
    assert page.locator("#right option").count() == 5  # nothing, original, file, two more
    assert page.locator("#avif").is_hidden()  # there is nothing that makes it


@pytest.mark.slow
def test_where_no_file_is_so_small_the_page_says_so(site: Site, page: Any) -> None:
    page.goto(site.root)
    encoded(page, "0", scene(90, 150, 3))
    page.click("#jpeg")
    page.wait_for_selector("#trouble")
    assert "the smallest JPEG is larger than" in page.inner_text("#message")


@needs_avif
def test_the_program_makes_avif_for_its_page(calotype_view: Any, page: Any) -> None:
    _, address = calotype_view("--stay")
    page.goto(address)
    wait(page, "done")
    size = encoded(page)
    quality, other, said = beside(page, "AVIF")
    assert abs(other - size) <= 0.03 * size + 100, said
    data = rivals.avif(np.asarray(Image.fromarray(PHOTO).convert("RGBA")).tobytes(), 300, 180, int(quality))
    assert abs(len(data) - other) <= 50
    page.focus("#slider")
    page.keyboard.press("Home")
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(shown(page, 300, 180)[..., :3] - theirs).max() <= 2  # the browser's own decoder


@pytest.mark.slow
@needs_avif
def test_a_module_beside_the_page_makes_avif(site: Site, page: Any) -> None:
    """A stand-in with the interface of @jsquash/avif, which has a file ready for every fourth quality."""
    rgba = np.asarray(Image.fromarray(PHOTO).convert("RGBA")).tobytes()
    files = [base64.b64encode(rivals.avif(rgba, 300, 180, quality)).decode() for quality in range(0, 101, 4)]
    site.things["/avif/avif_enc.js"] = (
        f"const files = {json.dumps(files)};"
        """
        export default async () => ({
          encode(data, width, height, {quality, subsample}) {
            if (data.length !== 4 * width * height || subsample !== 3) return null;
            return Uint8Array.from(atob(files[quality >> 2]), c => c.charCodeAt());
          },
        });
        """
    ).encode()
    page.goto(site.root)
    size = encoded(page)
    quality, other, said = beside(page, "AVIF")
    sizes = [len(file) * 3 // 4 for file in files]
    assert abs(other - size) <= min(abs(n - size) for n in sizes) + 0.01 * size + 60, said  # told to 0.1 kB
    assert abs(sizes[int(quality) // 4] - other) <= 60
    # A module that fails says so.
    site.things["/avif/avif_enc.js"] = b"throw new Error('broken')"
    page.select_option("#right", label="photo.png")
    page.click("#avif")
    page.wait_for_selector("#trouble")
    assert "photo.png: the module that makes AVIF cannot be read" in page.inner_text("#message")


@pytest.mark.skipif(not (view.home() / "avif").is_dir(), reason="web/avif.sh was not run")
def test_the_module_that_the_script_fetches_makes_avif(site: Site, page: Any) -> None:
    for file in (view.home() / "avif").iterdir():
        site.things[f"/avif/{file.name}"] = file.read_bytes()
    page.goto(site.root)
    size = encoded(page)
    _, other, said = beside(page, "AVIF")
    assert abs(other - size) <= 0.03 * size + 100, said
    page.focus("#slider")
    page.keyboard.press("Home")
    assert np.abs(shown(page, 300, 180)[..., :3].astype(int) - PHOTO).mean() < 12
