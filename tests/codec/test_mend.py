"""Files with faults beside their pixels are read with a note; files that lack pixels are not."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

from calotype.codec.image import Picture
from calotype.codec.mend import ENDLESS, mended
from calotype.errors import ImageError

from . import files
from .files import chunk

PIXELS = np.random.default_rng(4).integers(0, 256, (64, 64, 3), np.uint8)
PNG = files.png(PIXELS, 8, 2)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4", "quality": 20}])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_end(options: dict[str, object], missing: int) -> None:
    data = files.saved(Image.fromarray(PIXELS), "JPEG", **options)
    expected = np.asarray(files.opened(data))
    picture = Picture.from_pil(files.opened(data[:-missing]))
    assert np.array_equal(picture.pixels, expected)
    assert picture.notes == (ENDLESS,)


def test_a_large_jpeg_without_its_end_has_a_note() -> None:
    image = Image.fromarray(PIXELS).resize((700, 500))
    picture = Picture.from_pil(files.opened(files.saved(image, "JPEG")[:-2]))
    assert np.array_equal(picture.pixels, np.asarray(files.opened(files.saved(image, "JPEG"))))
    assert "end" in picture.notes[-1]


@pytest.mark.parametrize("size", [(64, 64), (700, 500)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_png_without_its_end_has_a_note(size: tuple[int, int], mode: str) -> None:
    """From its last byte to the end of the compressed pixels, whose checksum Pillow does without."""
    image = Image.fromarray(PIXELS).resize(size).convert(mode)
    data, expected = files.saved(image, "PNG"), Picture.from_pil(image)
    assert Picture.from_pil(files.opened(data)).notes == ()
    assert Picture.from_pil(files.opened(data + b"after its end")).notes == ()
    for missing in range(1, 21):
        picture = Picture.from_pil(files.opened(data[:-missing]))
        assert picture.notes == (ENDLESS,), missing
        assert np.array_equal(picture.pixels, expected.pixels)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_a_gif_without_its_end_has_a_note(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    data = files.saved(image, "GIF", loop=0)
    assert Picture.from_pil(files.opened(data)).notes == ()
    assert Picture.from_pil(files.opened(data + b"after its end")).notes == ()
    picture = Picture.from_pil(files.opened(data[:-1]))
    assert picture.notes == (ENDLESS,)
    assert np.array_equal(picture.pixels, Picture.from_pil(image).pixels)


def test_what_follows_a_jpeg_is_no_missing_end() -> None:
    data = files.saved(Image.fromarray(PIXELS), "JPEG")
    assert Picture.from_pil(files.opened(data + b"a film")).notes == ()
    tagged = data[:2] + b"\xff\xe3\0\x0athumb\0\xff\xd9" + data[2:]
    assert Picture.from_pil(files.opened(tagged)).notes == ()
    assert Picture.from_pil(files.opened(tagged[:-2])).notes == (ENDLESS,)


@pytest.mark.parametrize("part", [0.4, 0.8, 0.95])
def test_a_jpeg_without_some_of_its_pixels_is_refused(part: float) -> None:
    data = files.saved(Image.fromarray(PIXELS), "JPEG", quality=95)
    with pytest.raises(ImageError, match="damaged"):
        Picture.from_pil(files.opened(data[: int(part * len(data))]))


def spoilt(data: bytes, kind: bytes) -> bytes:
    at = data.index(kind) + 4
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


TEXT = chunk(b"tEXt", b"Title\0words")
BROKEN = {
    "wrong checksum": PNG[:33] + spoilt(TEXT, b"tEXt") + PNG[33:],
    "junk after a text": PNG[:33] + TEXT + b"some junk here" + PNG[33:],
    "text that does not inflate": PNG[:33] + chunk(b"zTXt", b"Title\0\7" + b"x" * 9) + PNG[33:],
    "profile of another kind": PNG[:33] + chunk(b"iCCP", b"name\0\7" + b"x" * 9) + PNG[33:],
    "no end": PNG[:-12],
    "half an end": PNG[:-7],
    "short chunk": PNG[:33] + chunk(b"cHRM", b"abc") + PNG[33:],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_png_with_a_fault_beside_its_pixels(name: str) -> None:
    found = mended(BROKEN[name])
    assert found is not None
    picture = Picture.from_pil(files.opened(found[0]))
    assert np.array_equal(picture.pixels, PIXELS)
    assert found[1]


def test_what_makes_the_colours_stays_when_a_png_is_mended() -> None:
    found = mended(PNG[:33] + files.gama(1.0) + spoilt(TEXT, b"tEXt") + PNG[33:])
    assert found is not None
    whole = Picture.from_pil(files.opened(PNG[:33] + files.gama(1.0) + PNG[33:]))
    assert np.array_equal(Picture.from_pil(files.opened(found[0])).pixels, whole.pixels)


@pytest.mark.parametrize("data", [spoilt(PNG, b"IDAT"), PNG[: len(PNG) // 2]], ids=["spoilt", "half"])
def test_a_png_without_its_pixels_is_not_mended(data: bytes) -> None:
    found = mended(data)
    if found is not None:
        with pytest.raises((ImageError, OSError)):
            Picture.from_pil(files.opened(found[0]))


def test_other_files_are_not_touched() -> None:
    assert mended(b"") is None
    assert mended(files.saved(Image.fromarray(PIXELS), "BMP")) is None


@pytest.mark.parametrize("seed", range(4))
def test_damage_of_any_kind_gives_a_picture_or_an_error(seed: int) -> None:
    """Nothing but ImageError and what Pillow raises for files that it does not know."""
    rng = np.random.default_rng(seed)
    for data in (files.saved(Image.fromarray(PIXELS), "JPEG"), PNG[:33] + TEXT + PNG[33:]):
        for _ in range(25):
            bad = bytearray(data[: rng.integers(40, len(data))])
            for place in rng.integers(8, len(bad), 3):
                bad[place] = rng.integers(256)
            found = mended(bytes(bad))
            for candidate in (bytes(bad), found[0] if found else b""):
                with contextlib.suppress(ImageError, OSError, SyntaxError, ValueError):
                    Picture.from_pil(Image.open(io.BytesIO(candidate)))
