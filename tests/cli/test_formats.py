"""calotype decode into other formats, with metadata and orientation; what encode tells of conversions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, features

import calotype
from calotype.codec import metadata

Run = Callable[..., Any]
# Pillow may have been built without AVIF.
NO_AVIF = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
AVIF = pytest.param("avif", marks=NO_AVIF)
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("suffix", "form"),
    [
        ("png", "PNG"),
        ("jpg", "JPEG"),
        ("webp", "WEBP"),
        ("tif", "TIFF"),
        pytest.param("avif", "AVIF", marks=NO_AVIF),
        ("ppm", "PPM"),
        ("bmp", "BMP"),
    ],
)
def test_decode_into_other_formats(run: Run, coded: Path, tmp_path: Path, suffix: str, form: str) -> None:
    out = tmp_path / f"out.{suffix}"
    assert run("decode", coded, out).status == 0
    image = Image.open(out)
    assert image.format == form
    error = np.asarray(image.convert("RGB")).astype(float) - np.asarray(calotype.open(coded))
    assert np.sqrt(np.mean(error**2)) < (6 if form in ("JPEG", "AVIF") else 1e-9)


def test_format_names_the_default_suffix(run: Run, coded: Path) -> None:
    assert run("decode", coded, "--format", "webp").status == 0
    assert Image.open(coded.with_suffix(".webp")).format == "WEBP"


def test_region(run: Run, coded: Path, tmp_path: Path) -> None:
    assert run("decode", coded, tmp_path / "part.png", "--region", "8,4,20,10").status == 0
    part = np.asarray(Image.open(tmp_path / "part.png")).astype(int)
    whole = np.asarray(calotype.open(coded)).astype(int)
    assert part.shape == (10, 20, 3)
    assert np.array_equal(part, whole[4:14, 8:28])


def test_region_outside_the_picture(run: Run, coded: Path, tmp_path: Path) -> None:
    assert "region" in run("decode", coded, tmp_path / "part.png", "--region", "40,0,20,10").complaint
    assert not (tmp_path / "part.png").exists()


def tagged(path: Path, make_scene: Any, orientation: int = 6) -> Path:
    image = make_scene(64, 48)
    fields = Image.Exif()
    fields[ExifTags.Base.Orientation] = orientation
    fields[ExifTags.Base.Artist] = "Talbot"
    image.save(path, exif=fields, icc_profile=ICC)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", AVIF, "tif", "bmp", "ppm"])
@pytest.mark.parametrize("upright", [False, True])
def test_orientation_is_shown_right_in_every_format(
    run: Run, tmp_path: Path, make_scene: Any, suffix: str, upright: bool
) -> None:
    source = tagged(tmp_path / "in.png", make_scene)
    assert run("encode", source, "-q", 100).status == 0
    out = tmp_path / f"out.{suffix}"
    assert run("decode", tmp_path / "in.calo", out, *(["--upright"] if upright else [])).status == 0
    shown = np.asarray(ImageOps.exif_transpose(Image.open(out)).convert("RGB")).astype(float)
    expected = np.asarray(ImageOps.exif_transpose(calotype.open(tmp_path / "in.calo"))).astype(float)
    assert shown.shape == expected.shape == (64, 48, 3)
    assert np.sqrt(np.mean((shown - expected) ** 2)) < 8
    if upright:
        assert Image.open(out).size == (48, 64)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", AVIF, "tif"])
def test_metadata_reach_the_output(run: Run, tmp_path: Path, make_scene: Any, suffix: str) -> None:
    source = tmp_path / "in.jpg"
    image = make_scene()
    fields = Image.Exif()
    fields[ExifTags.Base.Artist] = "Talbot"
    image.save(source, exif=fields, icc_profile=ICC, xmp=b"<x:xmpmeta>\xc3\xa9</x:xmpmeta>")
    out = tmp_path / f"out.{suffix}"
    assert run("encode", source).status == 0
    assert run("decode", tmp_path / "in.calo", out).status == 0
    back = Image.open(out)
    back.load()
    assert back.info["icc_profile"] == ICC
    assert back.info["xmp"] == b"<x:xmpmeta>\xc3\xa9</x:xmpmeta>"
    assert back.getexif()[ExifTags.Base.Artist] == "Talbot"


def test_strip(run: Run, tmp_path: Path, make_scene: Any) -> None:
    source = tagged(tmp_path / "in.png", make_scene)
    assert run("encode", source, "--strip").status == 0
    image = calotype.open(tmp_path / "in.calo")
    assert image.size == (48, 64)
    assert "exif" not in image.info
    assert image.info["icc_profile"] == ICC


def test_notes_on_lossy_conversions(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((8, 8), 0x8123, np.uint16)).save(path)
    done = run("encode", path)
    assert done.status == 0
    assert "16 bits" in done.err
    (record,) = run("encode", path, "--force", "--json").records
    assert "16 bits" in record["notes"][0]


def test_alpha_does_not_vanish_into_a_jpeg(run: Run, tmp_path: Path, make_scene: Any) -> None:
    image = make_scene()
    image.putalpha(100)
    image.save(tmp_path / "a.png")
    assert run("encode", tmp_path / "a.png").status == 0
    assert "alpha" in run("decode", tmp_path / "a.calo", tmp_path / "a.jpg").complaint
    assert names(tmp_path) == ["a.calo", "a.png"]
    assert run("decode", tmp_path / "a.calo", tmp_path / "a.webp").status == 0
    assert Image.open(tmp_path / "a.webp").mode == "RGBA"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", AVIF, "tif"])
@pytest.mark.parametrize(
    "info",
    [{"exif": b"Exif\0\0nonsense"}, {"exif": b"Exif\0\0MM\0*" + bytes(100_000)}, {"xmp": b"\xff\xfe\xfd"}],
)
def test_metadata_that_do_not_fit_never_keep_the_picture(
    run: Run, tmp_path: Path, make_scene: Any, suffix: str, info: dict[str, bytes]
) -> None:
    image = make_scene()
    image.info.update(info)
    calotype.save(image, tmp_path / "a.calo", quality=90)
    done = run("decode", tmp_path / "a.calo", tmp_path / f"a.{suffix}")
    assert done.status == 0
    back = Image.open(tmp_path / f"a.{suffix}")
    assert back.size == image.size
    back.load()
    given, found = metadata.read(image), metadata.read(back)
    kept = (found.exif, found.xmp) == (given.exif, given.xmp)
    if suffix == "tif" and "exif" in info and "nonsense" not in str(info):
        return  # EXIF without a single tag: TIFF has nothing to hold
    assert kept != ("are left out" in done.err)
