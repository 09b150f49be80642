"""Variants of photographs that are stored beside them, and what of them is trained and validated on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calotype.lab.train.data import Photos
from calotype.lab.train.stores import VARIANT, Source, pack_folder
from calotype.lab.train.variants import DRAWN, LARGER, SIDE, SMALLER, pack_varied, scaled, varied

Picture = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def packed(picture: Picture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A packed folder of eight photographs with variants, but for those of the last two."""
    folder = tmp_path_factory.mktemp("variants")
    for k in range(8):
        Image.fromarray(picture(600 + 30 * k, 1000 - 50 * k, k)).save(folder / f"p{k}.png", compress_level=1)
    pack_varied(folder, folder / "packed", ["p6", "p7"])
    return folder / "packed"


@pytest.mark.slow
def test_areas_decide_the_shares(packed: Path) -> None:
    photos = Photos.open(packed)
    area: dict[str, float] = {}
    for name, (h, w) in zip(photos.names, photos.sizes, strict=True):
        kind = name.partition(VARIANT)[2].partition("-")[0]
        if name[:2] not in ("p6", "p7"):
            area[kind] = area.get(kind, 0) + h * w
    real = area.pop("")
    assert area["larger"] / real == pytest.approx(LARGER, rel=0.01)
    assert 0.6 * SMALLER < area["smaller"] / real <= 1.01 * SMALLER
    assert 0.5 * DRAWN < area["drawn"] / real < 2 * DRAWN


def test_held_out_photographs_have_no_variants(packed: Path) -> None:
    photos = Photos.open(packed)
    assert [n for n in photos.names if n[:2] in ("p6", "p7")] == ["p6.png", "p7.png"]
    train, valid = photos.split(20, ["p6", "p7"])
    assert [photos.names[i] for i in valid] == ["p6.png", "p7.png"]
    assert sorted(train + valid) == list(range(len(photos.names)))


def test_what_is_validated_on_is_real_and_trained_on_in_no_form(packed: Path) -> None:
    """Also where other photographs are held out than those without variants."""
    photos = Photos.open(packed)
    for train, valid in (photos.split(3), photos.split(3, ["p1", "p4"]), photos.split(100)):
        assert len(valid) in (2, 3, 4)
        assert not any(VARIANT in photos.names[i] for i in valid)
        assert not {photos.names[i][:2] for i in valid} & {photos.names[i][:2] for i in train}
        assert any(VARIANT in photos.names[i] for i in train)


def test_variants_are_decided_by_the_name(packed: Path, tmp_path: Path) -> None:
    photo = packed.parent / "p2.png"
    again = varied(Source("p2.png", photo), [])
    photos = Photos.open(packed)
    for name, pixels in again:
        assert np.array_equal(photos.picture(photos.names.index(name)), pixels)
    other = varied(Source("other.png", photo), [])
    assert np.array_equal(other[0][1], again[0][1])
    assert not np.array_equal(other[1][1], again[1][1])
    renamed = varied(Source("p2.webp", photo), [])  # its ending changes when it is recompressed
    assert np.array_equal(renamed[1][1], again[1][1])


@pytest.mark.parametrize(("factor", "area"), [(1.5, 90_000), (0.6, 70_000), (2.0, 1000), (0.5, 10**6)])
def test_a_window_is_scaled_as_a_whole_picture_is(picture: Picture, factor: float, area: float) -> None:
    photo = picture(400, 600)
    found = scaled(photo, factor, area, np.random.default_rng(0))
    whole = (round(400 * factor), round(600 * factor))
    assert found.shape[0] * found.shape[1] == pytest.approx(
        min(max(area, SIDE**2), whole[0] * whole[1]), rel=0.15
    )
    assert min(found.shape[:2]) >= min(SIDE, *whole)
    how = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    full = np.asarray(Image.fromarray(photo).resize(whole[::-1], how)).astype(float)
    assert abs(found.mean() - full.mean()) < 25
    assert found.std() == pytest.approx(full.std(), rel=0.5)


def test_a_file_that_is_broken_is_left_out(picture: Picture, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(picture(300, 300)).save(tmp_path / "photos" / "good.png")
    (tmp_path / "photos" / "bad.png").write_bytes(b"not a picture")
    pack_varied(tmp_path / "photos", tmp_path / "a", [])
    index = json.loads((tmp_path / "a.json").read_text())
    assert [name for name, *_ in index["pictures"]][:2] == ["good.png", f"good.png{VARIANT}larger"]
    assert [name for name, _ in index["skipped"]] == ["bad.png"]
    pack_folder(tmp_path / "photos", tmp_path / "b")
    assert Photos.open(tmp_path / "b").names == ["good.png"]
