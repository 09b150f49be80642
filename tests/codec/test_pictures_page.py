"""docs/pictures.md, row by row: each kind of picture meets the verdict that the page gives."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calotype.cli import pictures
from calotype.cli.writing import to_file
from calotype.codec import icc
from calotype.codec.image import Picture
from calotype.errors import ImageError

from . import files
from .files import cicp, opened
from .page_cases import ALPHA, CASES, GREY, RGB, Notes, case, read, refused, with_info

PAGE = (Path(__file__).parents[2] / "docs" / "pictures.md").read_text(encoding="utf-8")
VERDICT = "(kept|kept, told|converted|converted, told|left out, told|refused)"
ROWS = dict(re.findall(rf"^\| ([^|]+?) \| [^|]+ \| {VERDICT} \|$", PAGE, re.MULTILINE))
LATE = {"CMYK with its profile", "HEIC without pillow-heif"}  # which need fixtures


def decoded(image: Image.Image, form: str, **options: Any) -> tuple[Image.Image, list[str]]:
    data, notes = to_file(image, form, **options)
    return opened(bytes(data)), notes


@case("kinds that Pillow does not read (some BMP and TIFF, EPS without Ghostscript, WMF, GRIB, HDF5)")
def _() -> Notes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.grib"
        path.write_bytes(b"GRIB\0\0\0\1" + bytes(100))
        return pictures.read_picture(str(path)).notes


@case("to PNG, TIFF, WebP, BMP, PPM")
def _() -> Notes:
    said = []
    for form in ("PNG", "TIFF", "WEBP", "BMP", "PPM"):
        image, notes = decoded(Image.fromarray(RGB), form)
        assert np.array_equal(np.asarray(image), RGB)
        said += notes
    return said


@case("to JPEG, AVIF")
def _() -> Notes:
    smooth = Image.fromarray(RGB).resize((90, 80))
    image, notes = decoded(smooth, "JPEG")
    assert np.square(np.asarray(image).astype(float) - np.asarray(smooth)).mean() < 20
    return notes


@case("more than 256 colours, to GIF")
def _() -> Notes:
    assert not decoded(Image.fromarray(RGB), "GIF")[1], "192 colours"
    return decoded(Image.fromarray(np.concatenate([RGB, RGB ^ 1])), "GIF")[1]


@case("alpha, to JPEG, BMP, PPM, GIF and others without it")
def _() -> Notes:
    image = Image.fromarray(np.dstack([RGB, ALPHA]))
    for form in ("JPEG", "BMP", "PPM", "GIF"):
        assert decoded(image, form, background=(255, 255, 255))[0].size == image.size
    return refused(*(lambda form=f: decoded(image, form) for f in ("JPEG", "BMP", "PPM", "GIF", "PCX")))


@case("a profile for grey, to WebP or AVIF")
def _() -> Notes:
    image, notes = decoded(with_info(Image.fromarray(RGB[..., 0]), icc_profile=GREY), "WEBP")
    assert "icc_profile" not in image.info
    return notes


@case("an ICC profile, to BMP, PPM, GIF and others without it")
def _() -> Notes:
    profile = icc.matrix_profile("P3", files.P3_CHRM, icc.SRGB_CURVE)
    image, notes = decoded(with_info(Image.fromarray(RGB), icc_profile=profile), "PPM")
    assert not np.array_equal(np.asarray(image), RGB)
    return notes


@case("a picture larger than the format can be")
def _() -> Notes:
    sizes = {"GIF": (70_000, 1), "TGA": (70_000, 1), "ICO": (300, 300), "WEBP": (17_000, 1)}
    return refused(*(lambda form=f, size=s: decoded(Image.new("RGB", size), form) for f, s in sizes.items()))


@case("XMP beyond 64 kB, to JPEG")
def _() -> Notes:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    packet += b'<rdf:Description xmlns:a="urn:a" a:long="' + b"x" * 99_000 + b'"/></rdf:RDF></x:xmpmeta>'
    image, notes = decoded(with_info(Image.fromarray(RGB), xmp=packet), "JPEG")
    assert b"x" * 99_000 in (read(image).xmp or b"")
    return notes


def check(verdict: str, function: Callable[[], Notes]) -> None:
    if verdict == "refused":
        with pytest.raises(ImageError) as caught:
            function()
        assert "\n" not in str(caught.value)
    else:
        assert bool(function()) == verdict.endswith("told"), verdict


def test_the_page_and_the_cases_are_the_same_rows() -> None:
    assert set(ROWS) == {*CASES, *LATE}
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    assert len(lines) == len(ROWS) + 4  # and two heads: none has another verdict


@pytest.mark.parametrize("row", CASES)
def test_row(row: str) -> None:
    check(ROWS[row], CASES[row])


def test_cmyk(cmyk_profile: bytes) -> None:
    image = with_info(Image.new("CMYK", (4, 4)), icc_profile=cmyk_profile)
    check(ROWS["CMYK with its profile"], lambda: read(image).notes)


def test_heic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])
    check(ROWS["HEIC without pillow-heif"], lambda: pictures.read_picture(str(tmp_path / "a.heic")))


def test_nothing_is_left_of_a_stream_that_is_read_twice() -> None:
    """Reading the file behind an image leaves it where Pillow expects it."""
    stream = io.BytesIO(files.png(RGB, 8, 2, cicp(12, 13)))
    with Image.open(stream) as image:
        place = stream.tell()
        Picture.from_pil(image.copy())
        assert np.array_equal(np.asarray(image), RGB)
        assert place
