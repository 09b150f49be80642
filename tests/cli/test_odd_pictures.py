"""Pictures of all modes, formats and odd sizes, as people have them: there and back without a wrong pixel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features
from tests.conftest import every

import calotype

from .conftest import Run

SIZES = [(1, 1), (1, 97), (97, 1), (2, 3), (40, 30)]
FORMATS = {
    "1": "png tif bmp gif pbm",
    "L": "png jpg tif pgm webp tga pcx jp2 bmp sgi",
    "LA": "png tif jp2 tga",
    "P": "png gif tif bmp tga pcx",
    "RGB": "png jpg webp avif tif bmp ppm jp2 ico sgi dds qoi tga pcx",
    "RGBA": "png webp avif tif tga dds jp2 qoi",
    "YCbCr": "jpg tif",
}
SAVED = [(mode, suffix) for mode, all_ in FORMATS.items() for suffix in all_.split()]


def picture(mode: str, size: tuple[int, int]) -> Image.Image:
    values = np.random.default_rng(11).integers(0, 256, (size[1], size[0], 4), np.uint8)
    image = Image.fromarray(values[..., :3]).convert(mode.removesuffix("A"))
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(values[..., 3]))
    return image


def visible(image: Image.Image) -> np.ndarray:
    """Pixels as Pillow converts them, [H, W, 4]; black where nothing is seen."""
    pixels = np.array(image.convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return pixels


@pytest.mark.parametrize(("mode", "suffix"), every(4, SAVED))
def test_there_and_back(run: Run, tmp_path: Path, mode: str, suffix: str) -> None:
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("Pillow is without AVIF")
    for size in SIZES:
        path, coded, back = (tmp_path / name for name in (f"a.{suffix}", "a.calo", "a.png"))
        picture(mode, size).save(path)
        assert run("encode", "-q", 100, "-f", path, "-o", coded).status == 0
        assert run("decode", "-f", coded, back).status == 0
        with Image.open(path) as expected, Image.open(back) as found:
            assert np.array_equal(visible(found), visible(expected))
        with Image.open(path) as image:
            assert calotype.encode(image, 100) == coded.read_bytes()


NAMES = [
    "-dash.png", "--help", "a space.png", "ünï.png", "two\nlines.png", "no suffix", "a.b.c", "UPPER.PNG",
    "%s{}.png", "'q'.png", '"d".png', "[x].png", "smile😀.png", os.fsdecode(b"no utf\xff.png"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A file of any name, in the folder where one is."""
    monkeypatch.chdir(tmp_path)
    try:
        picture("RGB", (9, 7)).save("plain.png")
        Path("plain.png").rename(name)
    except OSError:
        pytest.skip("this file system has no such names")
    done = run("encode", "-q", 100, "--", name)
    assert done.status == 0
    assert done.err.count("\n") <= 1
    (coded,) = tmp_path.glob("*.calo")
    assert run("decode", "--", coded.name, "-back.png").status == 0
    with Image.open("-back.png") as found, Image.open(name) as expected:
        assert np.array_equal(visible(found), visible(expected))


@pytest.mark.parametrize(
    "suffix", ["png", "jpg", "gif", "webp", "bmp", "tif", "avif", "ppm", "jp2", "dds", "qoi", "tga"]
)
def test_a_file_that_is_cut_anywhere(run: Run, tmp_path: Path, suffix: str) -> None:
    """One line that says so, or what every viewer shows; with the option or without."""
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("Pillow is without AVIF")
    whole = tmp_path / f"whole.{suffix}"
    picture("RGB", (40, 30)).save(whole)
    data, path = whole.read_bytes(), tmp_path / f"cut.{suffix}"
    for length in {1, 7, 20, 60, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:length])
        for more in ((), ("--accept-truncated",)):
            done = run("encode", "-q", 100, "-f", path, "-o", tmp_path / "a.calo", *more)
            if done.status:
                assert any(word in done.complaint for word in ("cut off", "damaged", "not a picture"))
            elif not more and suffix not in ("jpg", "tga"):  # of these no more than the end may lack
                with Image.open(tmp_path / "a.calo") as found, Image.open(whole) as expected:
                    assert np.array_equal(visible(found), visible(expected))


def test_grey_goes_to_formats_that_have_none(run: Run, tmp_path: Path) -> None:
    picture("L", (9, 7)).save(tmp_path / "a.png")
    assert run("encode", "-q", 100, tmp_path / "a.png").status == 0
    for suffix in ("qoi", "webp", "avif") if features.check("avif") else ("qoi", "webp"):
        assert run("decode", tmp_path / "a.calo", tmp_path / f"b.{suffix}").status == 0
    with Image.open(tmp_path / "a.png") as expected, Image.open(tmp_path / "b.qoi") as found:
        assert np.array_equal(visible(found), visible(expected))


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-le"])
def test_xmp_in_any_coding_reaches_a_png(run: Run, tmp_path: Path, coding: str) -> None:
    """PNG has it in UTF-8 alone."""
    words = '<x:xmpmeta xmlns:x="adobe:ns:meta/">é</x:xmpmeta>'
    data = words.encode(coding) if coding != "utf-16-le" else ("\ufeff" + words).encode(coding)
    (tmp_path / "a.calo").write_bytes(calotype.encode(picture("RGB", (9, 7)), 100, xmp=data))
    done = run("decode", tmp_path / "a.calo", tmp_path / "a.png")
    assert (done.status, done.err) == (0, "")
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.info["xmp"].decode() == words


@pytest.mark.filterwarnings("error::calotype.ConversionWarning")
def test_small_photographs_are_no_text(make_scene: Any) -> None:
    """All pictures as small as this are tried as pixels; only drawings get a note when they are blurred."""
    calotype.encode(make_scene(40, 30), 20)
    marks = np.random.default_rng(5).integers(0, 256, (15, 20, 3), np.uint8).repeat(2, 0).repeat(2, 1)
    with pytest.warns(calotype.ConversionWarning, match="blurred"):
        calotype.encode(marks, 5)


def test_arrays_with_a_mask_are_refused() -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(calotype.ImageError, match="mask"):
        calotype.encode(np.ma.masked_array(pixels, pixels > 3))
