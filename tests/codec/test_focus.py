"""Parts of a picture that count more (``roi``)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.cli import demo, main
from calotype.codec.focus import FULL, focus, nearer
from calotype.codec.image import Picture

BOX = (64, 48, 224, 176)


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    with Image.open(demo.PHOTO) as image:
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[200:456, 100:484])


def errors(photo: NDArray[np.uint8], data: bytes) -> tuple[float, float]:
    """Mean squared error in the box, and outside."""
    wrong = np.square(np.asarray(calotype.decode(data)) - photo.astype(float))
    left, top, right, bottom = BOX
    inside = np.zeros(wrong.shape[:2], bool)
    inside[top:bottom, left:right] = True
    return float(wrong[inside].mean()), float(wrong[~inside].mean())


@pytest.mark.parametrize("tune", ["eyes", "psnr"])
def test_bits_go_where_they_count(photo: NDArray[np.uint8], tune: Any) -> None:
    usual = calotype.encode(photo, target_bpp=0.5, tune=tune)
    focused = calotype.encode(photo, target_bpp=0.5, tune=tune, roi=BOX)
    assert len(focused) <= photo.shape[0] * photo.shape[1] / 16
    before, after = errors(photo, usual), errors(photo, focused)
    assert after[0] < 0.94 * before[0]
    assert after[1] > before[1]


def test_a_mask_says_the_same_as_a_box(photo: NDArray[np.uint8]) -> None:
    left, top, right, bottom = BOX
    mask = np.zeros(photo.shape[:2], bool)
    mask[top:bottom, left:right] = True
    files = {
        calotype.encode(photo, 50, roi=roi)
        for roi in (
            BOX,
            [BOX],
            np.array([BOX]),
            mask,
            Image.fromarray(mask),
            Image.fromarray(mask * np.uint8(255)),
        )
    }
    assert len(files) == 1
    assert files != {calotype.encode(photo, 50)}


def test_a_grey_mask_lies_between(photo: NDArray[np.uint8]) -> None:
    sizes = [
        len(calotype.encode(photo, 50, roi=np.full(photo.shape[:2], grey, np.uint8)))
        for grey in (0, 128, 255)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] == len(calotype.encode(photo, 50))


@pytest.mark.parametrize("size", [(1, 1), (17, 33), (1025, 80)])
def test_any_size_and_any_tile(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    height, width = size
    data = calotype.encode(pixels, 30, roi=[(0, 0, width, height), (width - 1, height - 1, width, height)])
    assert calotype.decode(data).size == (width, height)


def test_effort_keeps_to_it(photo: NDArray[np.uint8]) -> None:
    pytest.importorskip("onnxruntime")
    usual = calotype.encode(photo, 40, effort=1, tune="psnr")
    focused = calotype.encode(photo, 40, effort=1, tune="psnr", roi=BOX)
    assert errors(photo, focused)[0] < 0.92 * errors(photo, usual)[0]


def test_every_pixel_of_a_part_is_in_it() -> None:
    found = focus((15, 16, 17, 32), 100, 50)
    assert found.shape == (4, 7)
    assert np.flatnonzero(found).tolist() == [7, 8]
    mask = np.zeros((50, 100), np.uint8)
    mask[49, 99] = 7
    assert np.flatnonzero(focus(mask, 100, 50)).tolist() == [27]


def test_the_part_is_in_the_first_zone() -> None:
    zone = np.arange(11, dtype=np.uint8)[None]
    assert (nearer(zone, np.full_like(zone, FULL)) == 0).all()
    assert (nearer(zone, np.zeros_like(zone)) == zone).all()


@pytest.mark.parametrize(
    ("roi", "said"),
    [
        ((0, 0, 385, 10), "not inside the picture of 384 x 256 pixels"),
        ((10, 10, 10, 20), "is empty"),
        (np.full((256, 384), 1, np.uint8), "has only 0 and 1"),
        (np.zeros((256, 384, 3), np.uint8), r"not an array \[256, 384, 3\] of uint8"),
        ([(0, 0, 10, 10), (5, 5, 2, 9)], "is empty"),
        ("all", "roi must be a box"),
        ((0.5, 0, 10, 10), "roi must be a box"),
        (7, "roi must be a box"),
        (np.zeros((4, 4), bool), "the mask of roi has 4 x 4 pixels"),
        (np.zeros((256, 384)), "a mask for roi must be an array of bool or uint8, not of float64"),
    ],
)
def test_what_is_no_part_is_refused(photo: NDArray[np.uint8], roi: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        calotype.encode(photo, roi=roi)


def test_without_loss_there_is_nothing_to_weigh(photo: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="roi weighs what is lost"):
        calotype.encode(photo, lossless=True, roi=BOX)


def test_from_the_shell(photo: NDArray[np.uint8], tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    source, mask = tmp_path / "a.png", tmp_path / "mask.png"
    Image.fromarray(photo).save(source)
    left, top, right, bottom = BOX
    box = f"{left},{top},{right - left},{bottom - top}"
    white = np.zeros(photo.shape[:2], np.uint8)
    white[top:bottom, left:right] = 255
    Image.fromarray(white).save(mask)
    assert main(["encode", str(source), str(tmp_path / "box.calo"), "-q", "50", "--roi", box]) == 0
    assert main(["encode", str(source), str(tmp_path / "m.calo"), "-q", "50", "--roi-mask", str(mask)]) == 0
    data = (tmp_path / "box.calo").read_bytes()
    assert data == (tmp_path / "m.calo").read_bytes() == calotype.encode(photo, 50, roi=BOX)

    capsys.readouterr()
    assert main(["encode", str(source), str(tmp_path / "no.calo"), "--roi", "0,0,400,10"]) == 1
    error = capsys.readouterr().err
    assert "not inside the picture" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "no.calo").exists()
    for more in (["--lossless"], ["-q", "100"]):
        assert main(["encode", str(source), str(tmp_path / "no.calo"), "--roi", box, *more]) == 2


def test_pillow_takes_it(photo: NDArray[np.uint8], tmp_path: Any) -> None:
    Image.fromarray(photo).save(tmp_path / "a.calo", quality=50, roi=BOX)
    assert (tmp_path / "a.calo").read_bytes() == calotype.encode(photo, 50, roi=BOX)


@pytest.mark.parametrize("tune", ["eyes", "psnr"])
def test_effort_without_a_part_is_as_usual(photo: NDArray[np.uint8], tune: Any) -> None:
    pytest.importorskip("onnxruntime")
    small = np.ascontiguousarray(photo[:96, :128])
    usual = calotype.encode(small, 40, effort=1, tune=tune)
    assert calotype.encode(small, 40, effort=1, tune=tune, roi=np.zeros((96, 128), bool)) == usual


def test_masks_are_read_as_pictures_are(photo: NDArray[np.uint8]) -> None:
    height, width = photo.shape[:2]
    left, top, right, bottom = BOX
    inside = np.zeros((height, width), np.uint8)
    inside[top:bottom, left:right] = 255
    expected = focus(inside, width, height)
    shape = Image.new("LA", (width, height), (255, 0))
    shape.putalpha(Image.fromarray(inside))
    deep = Image.fromarray(inside.astype(np.uint16) * 257)
    for mask in (shape, shape.convert("RGBA"), deep, Image.fromarray(inside).convert("P")):
        found = Picture(photo).focused(mask).focus
        assert found is not None
        assert np.array_equal(found, expected), mask.mode


def test_a_mask_is_turned_with_the_picture_and_named(
    photo: NDArray[np.uint8], tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    left, top, right, bottom = BOX
    white = np.zeros(photo.shape[:2], np.uint8)
    white[top:bottom, left:right] = 255
    for name, pixels in (("a", photo), ("mask", white)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png", exif=exif)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    source, mask, out = (str(tmp_path / name) for name in ("a.png", "mask.png", "a.calo"))
    assert main(["encode", source, out, "-q", "50", "--roi-mask", mask, "--strip"]) == 0
    turned = np.ascontiguousarray(np.rot90(photo, -1))
    assert (tmp_path / "a.calo").read_bytes() == calotype.encode(turned, 50, roi=np.rot90(white, -1))
    capsys.readouterr()
    assert main(["encode", source, str(tmp_path / "b.calo"), "--roi-mask", str(tmp_path / "bad.png")]) == 1
    assert "the mask " in capsys.readouterr().err
