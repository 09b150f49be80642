"""Pillow opens and saves .calo files like any other format."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, UnidentifiedImageError

import calotype

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PIXELS = np.add.outer(np.arange(30) * 3, np.arange(40) * 2)[:, :, None].repeat(3, 2).astype(np.uint8)


def saved(image: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(stream, "CALO", **options)
    return stream.getvalue()


def test_save_and_open(tmp_path: Path) -> None:
    path = tmp_path / "x.calo"
    Image.fromarray(PIXELS).save(path, quality=60)
    assert path.read_bytes() == calotype.encode(PIXELS, quality=60)
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("CALO", "RGB", (40, 30))
        assert image.get_format_mimetype() == "image/x-calotype"
        assert np.array_equal(np.asarray(image), np.asarray(calotype.open(path)))


def test_options_reach_the_encoder() -> None:
    assert len(saved(quality=10)) < len(saved(quality=90))
    limit = len(saved(quality=50))
    assert 0.99 * limit <= len(saved(target_size=limit)) <= limit


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_modes_are_known_before_decoding(mode: str) -> None:
    image = Image.open(io.BytesIO(saved(Image.fromarray(PIXELS).convert(mode), quality=20)))
    expected = {"P": "RGB", "1": "L"}.get(mode, mode)
    assert image.mode == expected
    image.load()
    assert image.mode == expected
    assert image.size == (40, 30)


def test_metadata_are_known_before_decoding_and_can_be_replaced() -> None:
    source = Image.fromarray(PIXELS)
    source.info.update(icc_profile=ICC, xmp=b"<a/>")
    fields = Image.Exif()
    fields[0x0112] = 3
    image = Image.open(io.BytesIO(saved(source, quality=20, exif=fields, xmp=b"<b/>")))
    assert image.info["icc_profile"] == ICC
    assert image.info["xmp"] == b"<b/>"
    assert image.getexif()[0x0112] == 3
    assert source.info["xmp"] == b"<a/>"  # saving does not touch the picture


def test_thumbnail_crop_and_copy_work_on_a_lazy_image() -> None:
    data = saved(quality=50)
    assert Image.open(io.BytesIO(data)).crop((0, 0, 5, 5)).size == (5, 5)
    assert Image.open(io.BytesIO(data)).copy().size == (40, 30)
    image = Image.open(io.BytesIO(data))
    image.thumbnail((20, 20))
    assert image.size == (20, 15)


def test_damage_is_an_oserror_as_for_other_formats() -> None:
    data = saved(quality=50)
    for bad in (data[:-3], data[:20], data[:5] + b"\xff" + data[6:]):
        with pytest.raises(OSError, match=r"."):
            Image.open(io.BytesIO(bad)).load()
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"CALO" + data[4:]))


def test_bombs_are_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(quality=10)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


def test_a_picture_that_cannot_be_saved_is_an_oserror() -> None:
    with pytest.raises(OSError, match="8 bits"):
        saved(Image.new("F", (3, 3)))


def test_a_failed_save_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "x.calo"
    with pytest.raises(OSError, match="8 bits"):
        Image.new("F", (3, 3)).save(path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["x.calo", "X.CALO", "named"])
def test_a_failed_save_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"precious")
    format = "calo" if name == "named" else None
    for place in (path, str(path), str(path).encode()):
        with pytest.raises(OSError, match="8 bits"):
            Image.new("F", (3, 3)).save(place, format)
        assert path.read_bytes() == b"precious"
        Image.fromarray(PIXELS).save(place, format, quality=20)
        assert path.read_bytes() == saved(quality=20)
        path.write_bytes(b"precious")
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_file_can_be_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "x.calo"
    Image.fromarray(PIXELS).save(path)
    with Image.open(path) as image:
        image.save(path, quality=20)
    assert Image.open(path).size == (40, 30)


def test_other_formats_are_saved_as_ever(tmp_path: Path) -> None:
    from calotype.plugins import pillow

    pillow.register()  # once more, which does no harm
    image = Image.fromarray(PIXELS)
    for name in ("x.png", "x.calo.png"):
        image.save(tmp_path / name)
        assert Image.open(tmp_path / name).format == "PNG"
    image.save(tmp_path / "y.calo", "PNG")  # the format counts, not the name
    assert Image.open(tmp_path / "y.calo").format == "PNG"
    with pytest.raises(ValueError, match="unknown file extension"):
        image.save(tmp_path / "x.unknown")


@pytest.mark.parametrize(
    "order", ["import calotype; from PIL import Image", "from PIL import Image; import calotype"]
)
def test_importing_calotype_is_enough(tmp_path: Path, order: str) -> None:
    path = tmp_path / "x.calo"
    path.write_bytes(saved(quality=20))
    script = f"{order}\nim = Image.open({str(path)!r})\nprint(im.format, im.size, len(im.tobytes()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["CALO", "(40,", "30)", "3600"]


def test_no_warnings_or_open_files_are_left(tmp_path: Path) -> None:
    path = tmp_path / "x.calo"
    path.write_bytes(saved(quality=20))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = Image.open(path)
        image.load()
        assert image.fp is None
        del image
