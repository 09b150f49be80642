"""Previews from Python and through Pillow."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import calotype

TINY = Path(__file__).parents[1] / "data" / "tiny"
DATA = (TINY / "tiles.calo").read_bytes()  # 300 x 200 in tiles of 128

pytestmark = pytest.mark.usefixtures("tiny_found")


def test_preview() -> None:
    small = calotype.preview(DATA)
    assert (small.mode, small.size) == ("RGB", (38, 25))
    assert np.array_equal(
        np.asarray(calotype.preview(bytearray(DATA), pack=TINY, threads=1)), np.asarray(small)
    )
    kept = calotype.preview(DATA[:-100], damaged="keep")
    assert np.array_equal(np.asarray(kept)[:16], np.asarray(small)[:16])


def test_what_is_no_preview() -> None:
    with pytest.raises(calotype.FormatError, match="truncated"):
        calotype.preview(DATA[:-100])
    with pytest.raises(calotype.LimitError, match="max_pixels"):
        calotype.preview(DATA, max_pixels=1000)
    with pytest.raises(calotype.FormatError, match="expected the bytes"):
        calotype.preview("tiles.calo")  # type: ignore[arg-type]


def test_a_thumbnail_is_made_of_the_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    from calotype import api

    full = Image.open(io.BytesIO(DATA))
    full.load()
    monkeypatch.setattr(api, "decode", None)  # so that only the preview can be decoded
    image = Image.open(io.BytesIO(DATA))
    image.thumbnail((18, 18))
    assert image.size == (18, 12)
    full.thumbnail((18, 18))
    assert full.size == image.size
    error = np.asarray(image, float) - np.asarray(full, float)
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 25


def test_draft() -> None:
    image = Image.open(io.BytesIO(DATA))
    assert image.draft(None, (38, 26)) is None  # more than an eighth both ways
    assert image.draft("L", None) is None
    assert image.size == (300, 200)
    assert image.draft("RGB", (37, 25)) == ("RGB", (0, 0, 37.5, 25.0))
    assert image.size == (38, 25)
    assert image.draft("RGB", (4, 3)) is None
    assert np.array_equal(np.asarray(image), np.asarray(calotype.preview(DATA)))
    decoded = Image.open(io.BytesIO(DATA))
    decoded.load()
    assert decoded.draft("RGB", (4, 3)) is None
    assert decoded.size == (300, 200)


def test_a_missing_pack_is_told_when_it_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALOTYPE_PACKS")
    image = Image.open(io.BytesIO(DATA))
    with pytest.raises(OSError, match="pack"):
        image.thumbnail((10, 10))


def test_a_damaged_tile_is_an_error_of_pillow() -> None:
    image = Image.open(io.BytesIO(DATA))
    image._data = DATA[:-1] + bytes([DATA[-1] ^ 1])  # type: ignore[attr-defined]
    image.draft("RGB", (4, 3))
    with pytest.raises(OSError, match="checksum"):
        image.load()
