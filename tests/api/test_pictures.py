"""Pictures through calotype.encode and calotype.decode: shapes, kinds, metadata, regions, targets."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

import calotype

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def scene(width: int, height: int, channels: int = 3) -> np.ndarray:
    """A smooth picture with edges and some texture: uint8 [H, W, C]."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        128 + 80 * np.sin((x + 2 * c * y) / (9 + 4 * c)) + 40 * ((x // 16 + y // 16) % 2)
        for c in range(channels)
    ]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else np.inf


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (15, 17), (16, 16), (64, 64), (65, 1), (1, 130), (97, 71)])
def test_every_size_comes_back(size: tuple[int, int]) -> None:
    image = Image.fromarray(scene(*size))
    decoded = calotype.decode(calotype.encode(image, quality=90))
    assert decoded.size == size
    assert decoded.mode == "RGB"


def test_quality_buys_likeness_and_bytes() -> None:
    array = scene(160, 120)
    sizes, likenesses = [], []
    for quality in (0, 33.3, 66.7, 100):
        data = calotype.encode(array, quality)
        sizes.append(len(data))
        likenesses.append(psnr(array, np.asarray(calotype.decode(data))))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert likenesses == sorted(likenesses)
    assert likenesses[-1] > 30


def test_array_and_image_give_the_same_file() -> None:
    array = scene(48, 40)
    assert calotype.encode(array, quality=90) == calotype.encode(Image.fromarray(array), quality=90)


@pytest.mark.parametrize("shape", [(40, 48), (40, 48, 1)])
def test_grey_stays_grey(shape: tuple[int, ...]) -> None:
    array = scene(48, 40)[:, :, 0]
    decoded = calotype.decode(calotype.encode(array.reshape(shape), quality=90))
    assert decoded.mode == "L"
    assert psnr(array, np.asarray(decoded)) > 25


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_lossless(mode: str) -> None:
    image = Image.fromarray(scene(50, 30)).convert(mode)
    alpha = np.random.default_rng(1).integers(0, 256, (30, 50), np.uint8)
    image.putalpha(Image.fromarray(alpha))
    decoded = calotype.decode(calotype.encode(image, quality=90))
    assert decoded.mode == mode
    assert np.array_equal(np.asarray(decoded.getchannel("A")), alpha)


def test_metadata_and_orientation() -> None:
    array = scene(48, 32)
    array[:, :24] //= 3  # dark on the left: the orientation shows
    image = Image.fromarray(array)
    fields = Image.Exif()
    fields[ExifTags.Base.Orientation] = 6
    fields[ExifTags.Base.Artist] = "Talbot"
    image.info.update(exif=fields.tobytes(), icc_profile=ICC, xmp=b"<x:xmpmeta/>")
    decoded = calotype.decode(calotype.encode(image, quality=80))
    for key in ("exif", "icc_profile", "xmp"):
        assert decoded.info[key] == image.info[key]
    assert decoded.size == image.size  # stored as given
    shown, expected = ImageOps.exif_transpose(decoded), ImageOps.exif_transpose(image)
    assert shown.size == expected.size == (32, 48)
    assert psnr(np.asarray(shown), np.asarray(expected)) > 20


def test_a_lossy_conversion_gives_a_warning() -> None:
    deep = Image.fromarray(scene(20, 20, 1)[:, :, 0].astype(np.uint16) * 257)
    with pytest.warns(calotype.ConversionWarning, match="16 bits"):
        data = calotype.encode(deep, quality=90)
    assert calotype.decode(data).mode == "L"


def test_region_is_that_part() -> None:
    array = scene(150, 110)
    data = calotype.encode(np.dstack([array, array[:, :, 0]]), quality=70)
    whole = np.asarray(calotype.decode(data)).astype(int)
    for left, top, right, bottom in [(0, 0, 150, 110), (30, 20, 31, 21), (100, 50, 150, 110)]:
        part = np.asarray(calotype.decode(data, (left, top, right, bottom))).astype(int)
        cut = whole[top:bottom, left:right]
        assert part.shape == cut.shape
        assert np.abs(part - cut).max() <= 1  # window borders may round differently
        assert np.array_equal(part[:, :, 3], cut[:, :, 3])


@pytest.mark.parametrize("region", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 33, 5), (5, 5, 2, 8)])
def test_region_outside_is_refused(region: tuple[int, int, int, int]) -> None:
    data = calotype.encode(scene(32, 32), quality=90)
    with pytest.raises(ValueError, match="region"):
        calotype.decode(data, region)


def test_targets_are_met() -> None:
    array = scene(256, 192)
    low, high = (len(calotype.encode(array, quality)) for quality in (10, 90))
    size = (low + high) // 2
    data = calotype.encode(array, target_size=size)
    assert 0.99 * size <= len(data) <= size
    bpp = 8 * size / array[:, :, 0].size
    assert 0.99 * bpp <= 8 * len(calotype.encode(array, target_bpp=bpp)) / array[:, :, 0].size <= bpp
    wanted = psnr(array, np.asarray(calotype.decode(data)))
    reached = psnr(array, np.asarray(calotype.decode(calotype.encode(array, target_psnr=wanted))))
    assert abs(reached - wanted) <= 0.011 * wanted


def test_targets_that_cannot_be_met_say_so() -> None:
    with pytest.raises(calotype.LimitError, match="cannot reach 20 bytes"):
        calotype.encode(scene(64, 64), target_size=20)


@pytest.mark.parametrize(
    "options",
    [
        {"quality": -1},
        {"quality": 101},
        {"quality": float("nan")},
        {"target_size": 0},
        {"target_ms_ssim": 1.0},
        {"target_ssimulacra2": 100},
        {"quality": 5, "target_size": 1000},
        {"target_bpp": 1, "target_psnr": 30},
    ],
)
def test_options_that_make_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"."):
        calotype.encode(scene(8, 8), **options)


@pytest.mark.parametrize("thing", ["photo.png", b"bytes", None, 3.0])
def test_things_that_are_no_pictures(thing: object) -> None:
    with pytest.raises(calotype.ImageError):
        calotype.encode(thing)  # type: ignore[arg-type]


def test_open_save_and_probe(tmp_path: Path) -> None:
    path = tmp_path / "a.calo"
    calotype.save(Image.fromarray(scene(40, 30)), path, quality=90)
    data = path.read_bytes()
    assert calotype.open(path).size == (40, 30)
    assert calotype.open(str(path), region=(0, 0, 8, 8)).size == (8, 8)
    assert calotype.open(io.BytesIO(data)).size == (40, 30)
    for source in (path, str(path), data, io.BytesIO(data)):
        fields = calotype.probe(source)
        assert (fields["width"], fields["height"], fields["error"]) == (40, 30, None)
    stream = io.BytesIO()
    calotype.save(scene(40, 30), stream, quality=90)
    assert stream.getvalue() == data


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.calo"
    path.write_bytes(b"old")
    with pytest.raises(calotype.ImageError):
        calotype.save(Image.new("F", (4, 4)), path)
    assert path.read_bytes() == b"old"


def test_the_limit_on_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = calotype.encode(scene(40, 30), quality=90)
    with pytest.raises(calotype.LimitError):
        calotype.decode(data, max_pixels=1199)
    assert calotype.decode(data, max_pixels=1200).size == (40, 30)
    assert "max_pixels = 1199" in calotype.probe(data, max_pixels=1199)["error"]["message"]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(calotype.LimitError):
        calotype.decode(data)
    assert calotype.probe(data)["error"] is None


def test_the_limit_on_metadata() -> None:
    image = Image.fromarray(scene(40, 30))
    image.info["xmp"] = b"<x/>"
    data = calotype.encode(image, quality=90)
    for region in (None, (0, 0, 8, 8)):
        with pytest.raises(calotype.LimitError, match="max_metadata = 3"):
            calotype.decode(data, region, max_metadata=3)
        assert calotype.decode(data, region, max_metadata=4).info["xmp"] == b"<x/>"
    assert "max_metadata = 3" in calotype.probe(data, max_metadata=3)["error"]["message"]


def test_a_damaged_tile_can_be_kept() -> None:
    data = bytearray(calotype.encode(scene(40, 30), quality=90))
    data[-10] ^= 1
    with pytest.raises(calotype.FormatError):
        calotype.decode(bytes(data))


def test_a_missing_pack_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from calotype import bitstream

    header = bitstream.Header(8, 8, 0, bytes.fromhex("0badcafe"))
    with pytest.raises(calotype.PackError, match="0badcafe"):
        calotype.decode(bitstream.write(header, [b"\0"]))
