"""Encoding in the viewer's page, in Chromium: the program's bytes, while a slider moves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.conftest import every
from tests.golden import scene
from tests.web.conftest import Site, calo, decoded, drop, png, shown, wait

import calotype
from calotype.codec.metrics import psnr


def made(page: Any) -> str:
    """What the page says of the file, once it is what the slider asks for."""
    page.wait_for_selector("#savecalo:not([disabled])")
    return str(page.inner_text("#made"))


def saved(page: Any) -> tuple[str, bytes]:
    made(page)
    with page.expect_download() as download:
        page.click("#savecalo")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


@pytest.fixture
def photo_page(site: Site, page: Any) -> Any:
    """The page with a dropped photograph, whose file at the usual quality is made."""
    page.goto(site.root)
    drop(page, ("a photo.png", png(scene(90, 150, 3), exif=b"Exif\0\0secret")))
    wait(page, "done")
    assert "/tiny/encoder.safetensors" not in site.asked
    page.click("#encode")
    wait(page, "done")
    return page


def test_a_dropped_photograph_becomes_a_file(site: Site, photo_page: Any) -> None:
    name, data = saved(photo_page)
    assert name == "a photo.calo"
    assert data == calo(scene(90, 150, 3), quality=80, tile=None)
    assert calotype.probe(data).get("exif") in (None, 0, False)
    original = scene(90, 150, 3)
    assert psnr(original, decoded(data)[:, :, :3]) > 25
    assert f"{8 * len(data) / (90 * 150):.2f} bits per pixel" in made(photo_page)
    assert photo_page.inner_text("#nameleft") == "a photo.calo"
    assert photo_page.inner_text("#nameright") == "a photo.png"
    photo_page.focus("#slider")
    photo_page.keyboard.press("End")
    np.testing.assert_array_equal(shown(photo_page, 150, 90), decoded(data))
    photo_page.focus("#slider")
    photo_page.keyboard.press("Home")
    np.testing.assert_array_equal(shown(photo_page, 150, 90)[:, :, :3], original)


def test_the_slider_changes_size_and_picture(site: Site, photo_page: Any) -> None:
    photo_page.focus("#slider")
    photo_page.keyboard.press("End")
    before = made(photo_page)
    photo_page.focus("#quality")
    for _ in range(5):
        photo_page.keyboard.press("PageDown")
    chosen = int(photo_page.inner_text("#chosen"))
    assert 20 <= chosen < 80
    _, data = saved(photo_page)
    assert data == calo(scene(90, 150, 3), quality=chosen, tile=None)
    assert made(photo_page) != before
    np.testing.assert_array_equal(shown(photo_page, 150, 90), decoded(data))
    photo_page.focus("#quality")
    photo_page.keyboard.press("End")
    assert photo_page.inner_text("#chosen") == "no loss"
    _, exact = saved(photo_page)
    np.testing.assert_array_equal(decoded(exact)[:, :, :3], scene(90, 150, 3))
    photo_page.focus("#quality")
    photo_page.keyboard.press("ArrowLeft")
    photo_page.keyboard.press("ArrowLeft")
    photo_page.keyboard.press("ArrowLeft")
    assert photo_page.inner_text("#chosen") == "95"  # nothing lies between
    assert saved(photo_page)[1] == calo(scene(90, 150, 3), quality=95, tile=None)
    asked = [path for path in site.asked if path.startswith("/tiny/encoder")]
    assert asked == ["/tiny/encoder.safetensors.gz", "/tiny/encoder.safetensors"]


def test_no_size_is_shown_of_another_quality(site: Site, photo_page: Any) -> None:
    """From the first move of the slider until the file of its quality is there."""
    assert "bits per pixel" in made(photo_page)
    status = photo_page.inner_text("#status")
    said = photo_page.evaluate(
        """() => {
          const quality = document.getElementById("quality");
          quality.value = 30;
          quality.dispatchEvent(new Event("input"));
          return ["made", "status"].map(id => document.getElementById(id).textContent);
        }"""
    )
    assert said[0] == ""
    assert said[1].split("   |   ")[0].startswith("a photo.calo · 150 × 90 · encoding")
    assert made(photo_page) != ""
    assert photo_page.inner_text("#status") != status
    # Work without loss is given up, also of a small picture.
    photo_page.focus("#quality")
    photo_page.keyboard.press("End")
    photo_page.keyboard.press("Home")
    assert saved(photo_page)[1] == calo(scene(90, 150, 3), quality=0, tile=None)


def test_the_photograph_alone_leads_back_to_its_file(site: Site, photo_page: Any) -> None:
    before = saved(photo_page)
    photo_page.select_option("#left", label="a photo.png")
    photo_page.wait_for_selector("#encode:not([hidden])")
    assert photo_page.locator("#making").is_hidden()
    photo_page.click("#encode")
    assert saved(photo_page) == before
    assert photo_page.inner_text("#nameleft") == "a photo.calo"
    assert photo_page.locator("#left option").count() == 2


LOST = [
    ("PNG", {}, ""),
    ("JPEG", {"exif": b"Exif\0\0secret", "xmp": b"<x/>"}, "Not kept: EXIF, XMP."),
    ("WEBP", {"xmp": b"<x/>", "lossless": True}, "Not kept: XMP."),
    (
        "PNG",
        {"exif": b"Exif\0\0secret", "icc_profile": b"p" * 200},
        "Not kept: EXIF; colours become sRGB.",
    ),
    ("BMP", {}, "Not kept: metadata, more than 8 bits and HDR; colours become sRGB."),
]


@pytest.mark.parametrize(("kind", "options", "said"), every(3, LOST))
def test_the_page_says_what_a_file_does_not_keep(
    site: Site, page: Any, kind: str, options: dict[str, Any], said: str
) -> None:
    file = io.BytesIO()
    Image.fromarray(scene(40, 60, 3)).save(file, kind, **options)
    page.goto(site.root)
    drop(page, ("photo", file.getvalue()))
    wait(page, "done")
    page.click("#encode")
    made(page)
    assert page.inner_text("#lost") == said


@pytest.mark.slow
def test_a_phone_held_sideways_shows_the_picture(photo_page: Any) -> None:
    made(photo_page)
    photo_page.set_viewport_size({"width": 740, "height": 360})
    assert photo_page.evaluate("document.querySelector('header').offsetHeight") < 60
    assert photo_page.evaluate("document.getElementById('stage').offsetHeight") > 250
    assert photo_page.evaluate("document.documentElement.scrollWidth") <= 740
    for name in ("#quality", "#savecalo", "#tiles"):  # all can be reached
        photo_page.locator(name).scroll_into_view_if_needed()
        assert photo_page.locator(name).is_visible()


@pytest.mark.slow
def test_a_large_picture_gives_up_what_is_not_wanted(site: Site, page: Any) -> None:
    pixels = np.tile(scene(1100, 700, 1), (1, 3, 1))  # six tiles
    page.goto(site.root)
    drop(page, ("large.png", png(pixels)))
    wait(page, "done")
    page.keyboard.press("e")
    page.wait_for_selector("#stage[data-left=encoding]", state="attached")
    page.focus("#quality")
    for _ in range(30):
        page.keyboard.press("ArrowLeft")
    assert page.inner_text("#chosen") == "50"
    assert saved(page)[1] == calo(pixels, quality=50, tile=None)


@pytest.mark.slow
def test_another_photograph_takes_its_place(site: Site, photo_page: Any) -> None:
    other = np.ascontiguousarray(scene(90, 150, 3)[::-1, ::-1])
    drop(photo_page, ("other.webp.png", png(other)))
    photo_page.wait_for_selector("#encode:not([hidden])")
    wait(photo_page, "done")
    assert photo_page.locator("#making").is_hidden()
    photo_page.click("#encode")
    wait(photo_page, "done")
    name, data = saved(photo_page)
    assert (name, data) == ("other.webp.calo", calo(other, quality=80, tile=None))
    photo_page.select_option("#left", label="a photo.calo")  # what was made before is still there
    wait(photo_page, "done")
    assert photo_page.locator("#making").is_hidden()


def test_a_turned_picture_with_alpha(site: Site, page: Any) -> None:
    """The browser turns it; its opacity is kept, and colours as far as a canvas keeps them."""
    alpha = np.full((90, 150, 1), 255, np.uint8)
    alpha[:40] = 128
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.dstack([scene(90, 150, 3), alpha])
    page.goto(site.root)
    drop(page, ("turned.png", png(pixels, exif=exif)))
    wait(page, "done")
    page.click("#encode")
    wait(page, "done")
    data = saved(page)[1]
    assert (calotype.probe(data)["width"], calotype.probe(data)["height"]) == (90, 150)
    upright = np.rot90(pixels, -1)
    np.testing.assert_array_equal(decoded(data)[:, :, 3], upright[:, :, 3])
    opaque = upright[:, :50]
    assert psnr(np.ascontiguousarray(opaque[:, :, :3]), decoded(data)[:, :50, :3]) > 25


@pytest.mark.slow
def test_drawings_are_without_loss(site: Site, page: Any) -> None:
    """At any quality, where that takes no more; of a drawing in a photograph there is a note."""
    drawing = np.kron(np.eye(9), np.ones((20, 20))).astype(np.uint8) * 255
    page.goto(site.root)
    drop(page, ("drawing.png", png(drawing)))
    wait(page, "done")
    page.click("#encode")
    assert "no loss, and no larger" in made(page)
    assert page.inner_text("#chosen") == "80"
    assert page.locator("#hint").is_hidden()
    np.testing.assert_array_equal(decoded(saved(page)[1])[:, :, 0], drawing)
    mixed = np.array(scene(300, 600, 3))
    mixed[:256, :256] = np.kron(np.eye(16), np.ones((16, 16)))[:, :, None] * 255
    drop(page, ("mixed.png", png(mixed)))
    wait(page, "done")
    page.click("#encode")
    made(page)
    wait(page, "done")
    assert "calotype encode" in page.inner_text("#hint")
    page.click("#noloss")
    assert page.inner_text("#chosen") == "no loss"
    np.testing.assert_array_equal(decoded(saved(page)[1])[:, :, :3], mixed)
    assert "no larger" not in made(page)
    assert page.locator("#hint").is_hidden()
    drop(page, ("photo.png", png(scene(90, 150, 3))))
    wait(page, "done")
    page.click("#encode")
    wait(page, "done")
    assert page.locator("#hint").is_hidden()


@pytest.mark.slow
def test_what_cannot_be_encoded_says_why(site: Site, page: Any, photo: bytes) -> None:
    page.goto(site.root)
    drop(page, ("photo.calo", photo))
    wait(page, "done")
    assert page.locator("#encode").is_hidden()
    # Without the encoder's part of the pack.
    page.reload()
    encoder = site.things.pop("/tiny/encoder.safetensors")
    drop(page, ("photo.png", png(scene(90, 150, 3))))
    wait(page, "done")
    page.click("#encode")
    page.wait_for_selector("#trouble")
    assert "encoder.safetensors cannot be read: 404" in page.inner_text("#message")
    np.testing.assert_array_equal(shown(page, 150, 90)[:, :, :3], scene(90, 150, 3))
    # The slider tries again.
    site.things["/tiny/encoder.safetensors"] = encoder
    page.focus("#quality")
    page.keyboard.press("ArrowLeft")
    assert saved(page)[1] == calo(scene(90, 150, 3), quality=79, tile=None)
    # Too large.
    page.reload()
    drop(page, ("large.png", png(np.zeros((3500, 5000), np.uint8))))
    wait(page, "done")
    assert page.is_disabled("#encode")
    assert "up to 16 megapixels" in page.get_attribute("#encode", "title")
    assert page.inner_text("#cannot").endswith(
        "this one is 5000 x 3500; the program, calotype encode, takes larger ones."
    )
    page.keyboard.press("e")
    assert page.locator("#making").is_hidden()
