"""decode into other formats: what one cannot hold is converted with a note, or refused; nothing vanishes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, features

import calotype
from calotype.cli.writing import to_file
from calotype.codec import colour, icc
from calotype.codec.image import Picture
from calotype.errors import ImageError

Run = Callable[..., Any]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
P3 = icc.matrix_profile("P3", (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), icc.SRGB_CURVE)
GREY = (
    icc.matrix_profile("grey", icc.SRGB, icc.gamma_curve(1))
    .replace(b"RGB XYZ ", b"GRAYXYZ ")
    .replace(b"rTRC", b"kTRC")
)
RGB = np.random.default_rng(2).integers(0, 256, (24, 30, 3), np.uint8)
ALPHA = np.random.default_rng(3).integers(0, 256, (24, 30), np.uint8)
WITH_ALPHA = ["PNG", "WEBP", "TIFF", "TGA", "JPEG2000", "SGI", "DDS"]
WITHOUT = ["BMP", "DIB", "PPM", "GIF", "JPEG", "PCX", "EPS", "PDF"]
AVIF = ["AVIF"] if features.check("avif") else []


def written(image: Image.Image, form: str, background: Any = None) -> tuple[Image.Image, list[str]]:
    data, notes = to_file(image, form, background)
    back = Image.open(io.BytesIO(data))
    back.load()
    return back, notes


@pytest.mark.parametrize("form", [*WITH_ALPHA, *AVIF])
@pytest.mark.parametrize("grey", [False, True])
def test_alpha_is_kept(form: str, grey: bool) -> None:
    picture = Picture(RGB if not grey else RGB[..., :1].repeat(3, 2), grey, ALPHA)
    back, notes = written(picture.to_pil(), form)
    assert notes == []
    found = np.asarray(back.convert("RGBA")).astype(int)
    assert np.abs(found[..., 3] - ALPHA).max() <= (8 if form == "AVIF" else 0)
    if form != "AVIF":
        assert np.array_equal(found[..., :3], picture.pixels)


def test_photographs_as_png_are_written_otherwise_and_are_the_same() -> None:
    """Noise has no strings that come again; stripes have, which looking for runs alone misses."""
    stripes = np.tile(RGB[:, :6], (1, 5, 1))
    for pixels, larger in ((RGB, False), (stripes, True)):
        image = Image.fromarray(pixels)
        usual, photo = (bytes(to_file(image, "PNG", photo=photo)[0]) for photo in (False, True))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(photo))), pixels)
        assert (len(photo) > 1.1 * len(usual)) == larger


@pytest.mark.parametrize("form", WITHOUT)
@pytest.mark.parametrize("grey", [False, True])
def test_alpha_is_refused_or_goes_before_a_background(form: str, grey: bool) -> None:
    pixels = RGB[..., :1].repeat(3, 2) if grey else RGB
    image = Picture(pixels, grey, ALPHA).to_pil()
    with pytest.raises(ImageError, match="--background"):
        to_file(image, form)
    if form in ("EPS", "PDF"):
        to_file(image, form, (255, 255, 255))
        return
    for background in ((255, 255, 255), (0, 128, 255)):
        back, _ = written(image, form, background)
        share = ALPHA[..., None] / 255
        expected = pixels * share + np.array(background) * (1 - share)
        limit = {"JPEG": 60, "GIF": 80}.get(form, 1)
        assert np.abs(np.asarray(back.convert("RGB")) - expected).max() <= limit
        assert "A" not in back.getbands()


def test_a_background_in_grey_keeps_grey() -> None:
    image = Picture(RGB[..., :1].repeat(3, 2), True, ALPHA).to_pil()
    assert written(image, "PNG", (255, 255, 255))[0].mode == "L"
    assert written(image, "PNG", (255, 0, 0))[0].mode == "RGB"


@pytest.mark.parametrize("colour_name", ["white", "#ff8000", "rgb(1,2,3)"])
def test_background_on_the_command_line(run: Run, tmp_path: Path, make_scene: Any, colour_name: str) -> None:
    image = make_scene()
    image.putalpha(0)
    image.save(tmp_path / "a.png")
    assert run("encode", tmp_path / "a.png").status == 0
    for suffix in ("bmp", "ppm", "gif", "jpg", "png"):
        out = tmp_path / f"o.{suffix}"
        if suffix != "png":
            assert "--background" in run("decode", tmp_path / "a.calo", out).complaint
        assert run("decode", tmp_path / "a.calo", out, "--background", colour_name).status == 0
        assert np.ptp(np.asarray(Image.open(out).convert("RGB")), axis=(0, 1)).max() == 0
    assert run("decode", tmp_path / "a.calo", "-f", "--background", "nocolour").status == 2


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "TGA", *AVIF])
@pytest.mark.parametrize(
    "profile", [None, SRGB, P3, GREY, b"none" * 99], ids=["no", "srgb", "p3", "grey", "bad"]
)
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_every_picture_and_profile_in_every_format(form: str, profile: bytes | None, mode: str) -> None:
    """What is written has no profile, or one for its pixels; viewers show the colours that there were."""
    image = Image.fromarray(RGB).convert(mode)
    if profile:
        image.info["icc_profile"] = profile
    if "A" in mode and form in ("JPEG", "BMP", "PPM"):
        return
    back, notes = written(image, form)
    found = back.info.get("icc_profile")
    if found is not None:
        assert icc.space(found) == ("GRAY" if back.mode in ("L", "LA") else "RGB")
    if profile in (None, b"none" * 99):
        assert found is None
        return
    grey = mode in ("L", "LA")
    if (icc.space(profile) == "GRAY") == grey and found is None:
        assert any("sRGB" in note for note in notes)
        through = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        plain = image.convert("L" if grey else "RGB")
        expected = ImageCms.profileToProfile(plain, through, ImageCms.createProfile("sRGB"), outputMode="RGB")
        assert expected is not None
        limit = 40 if form in ("JPEG", "AVIF") else 2
        assert np.abs(np.asarray(back.convert("RGB")).astype(int) - np.asarray(expected)).max() <= limit


def test_the_grey_profile_of_these_tests_is_one() -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    through = colour.through_profile(ramp, GREY)
    assert through is not None
    assert np.asarray(through)[0, 128] == pytest.approx(188, abs=1)  # half of the light


@pytest.mark.parametrize("size", [(40, 16), (1, 256), (256, 256), (17, 17)])
def test_ico_holds_any_size(size: tuple[int, int]) -> None:
    data, notes = to_file(Image.new("RGB", size, "teal"), "ICO")
    with Image.open(io.BytesIO(data)) as back:
        assert (back.size, back.convert("RGB").getpixel((0, 0)), notes) == (size, (0, 128, 128), [])


LARGEST = {
    "GIF": (65535, 65535), "TGA": (65535, 65535), "SGI": (65535, 65535), "PCX": (65534, 65535),
    "JPEG": (65500, 65500), "MPO": (65500, 65500), "PDF": (65500, 65500), "WEBP": (16383, 16383),
    "ICO": (256, 256),
}  # fmt: skip


@pytest.mark.parametrize("form", LARGEST)
def test_the_limit_of_a_format(capfd: pytest.CaptureFixture[str], form: str) -> None:
    """The largest picture is written whole; one pixel more is one line, to which no library adds its own."""
    Image.init()
    for side in range(2):
        size = [1, 1]
        size[side] = LARGEST[form][side]
        data, _ = to_file(Image.new("RGB", tuple(size)), form)
        if form != "PDF":  # which Pillow does not read
            assert Image.open(io.BytesIO(data)).size == tuple(size)
        for more in (1, 4465 + size[side] % 7):
            larger = [*size]
            larger[side] += more
            with pytest.raises(ImageError, match="cannot hold") as caught:
                to_file(Image.new("RGB", tuple(larger)), form)
            assert str(caught.value) == (
                f"{form} cannot hold {larger[0]} x {larger[1]} pixels; "
                f"the largest is {LARGEST[form][0]} x {LARGEST[form][1]}"
            )
    assert capfd.readouterr() == ("", "")


def test_the_limit_is_for_the_picture_as_it_is_written() -> None:
    """A PCX is turned upright first, and may be one pixel higher than wide."""
    image = Image.new("L", (1, 65535))
    fields = Image.Exif()
    fields[0x0112] = 6
    image.info["exif"] = fields.tobytes()
    with pytest.raises(ImageError, match="cannot hold 65535 x 1 pixels"):
        to_file(image, "PCX")


@pytest.mark.skipif(not AVIF, reason="Pillow without AVIF")
def test_too_large_for_avif(run: Run, tmp_path: Path) -> None:
    Image.new("L", (70_000, 2), 9).save(tmp_path / "wide.png")
    assert run("encode", tmp_path / "wide.png", "-q", 10).status == 0
    assert (
        "AVIF cannot hold 70000 x 2 pixels; the largest is 65536"
        in run("decode", tmp_path / "wide.calo", tmp_path / "o.avif").complaint
    )
    assert not (tmp_path / "o.avif").exists()


def test_gif_says_that_it_holds_256_colours() -> None:
    assert "256" in written(Image.fromarray(RGB), "GIF")[1][0]


@pytest.mark.parametrize("pixels", [np.arange(256, dtype=np.uint8).reshape(16, 16), RGB // 64 * 64])
def test_gif_of_few_colours_is_exact_and_silent(pixels: np.ndarray) -> None:
    image = Image.fromarray(pixels)
    back, notes = written(image, "GIF")
    assert notes == []
    assert np.array_equal(np.asarray(back.convert("RGB")), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP"])
def test_resolution_reaches_the_output(form: str) -> None:
    image = Image.fromarray(RGB)
    image.info["dpi"] = (300, 150)
    decoded = calotype.decode(calotype.encode(image, quality=95))
    assert written(decoded, form)[0].info["dpi"] == pytest.approx((300, 150), abs=0.02)


@pytest.mark.parametrize("form", ["WEBP", *AVIF])
def test_resolution_in_exif(form: str) -> None:
    image = Image.fromarray(RGB)
    image.info["dpi"] = (300, 150)
    fields = written(calotype.decode(calotype.encode(image, quality=95)), form)[0].getexif()
    assert (fields[282], fields[283], fields[296]) == (300, 150, 2)
