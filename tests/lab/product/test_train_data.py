"""Photographs and crops."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.lab.train.data import Photos
from calotype.lab.train.resident import DevicePhotos

Picture = Callable[..., np.ndarray]


def test_crops_are_decided_by_their_key(photos: Photos) -> None:
    indices = list(range(len(photos.names)))
    a, b = (photos.crops(indices, (0, 5, 0), 6, 64) for _ in range(2))
    assert a.shape == (6, 3, 64, 64)
    assert a.dtype == torch.uint8
    assert torch.equal(a, b)
    assert not torch.equal(a, photos.crops(indices, (0, 6, 0), 6, 64))


def test_a_crop_is_a_part_of_its_picture(photos: Photos) -> None:
    plan = photos.plan([0], (3,), 8, 64)
    assert len({(c.turns, c.flip) for c in plan}) > 2
    for cut, crop in zip(plan, photos.cut(plan, 64), strict=True):
        upright = crop.permute(1, 2, 0).numpy()
        upright = np.rot90(upright[:, ::-1] if cut.flip else upright, -cut.turns)
        part = photos.picture(0)[cut.top : cut.top + 64, cut.left : cut.left + 64]
        assert np.array_equal(upright, part)


def test_small_pictures_are_extended_by_reflection(photos: Photos) -> None:
    small = next(i for i, size in enumerate(photos.sizes) if size == (40, 50))
    crop = photos.centres([small], 64)[0].permute(1, 2, 0).numpy()
    picture = photos.picture(small)
    assert np.array_equal(crop[:40, :50], picture)
    assert np.array_equal(crop[40:, :50], picture[:15:-1])


def test_crops_made_on_a_device_are_the_same(photos: Photos) -> None:
    resident = DevicePhotos(photos, torch.device("cpu"), 64)
    plan = photos.plan(list(range(len(photos.names))), (1, 2, 3), 24, 64)
    crops = resident.cut(plan)
    assert torch.equal(crops, photos.cut(plan, 64))
    assert crops.is_contiguous(memory_format=torch.channels_last)
    assert not DevicePhotos.fit(photos, torch.device("cpu"))


def test_held_out_pictures_are_spread_and_not_trained_on(photos: Photos) -> None:
    train, valid = photos.split(2)
    assert valid == [1, 4]
    assert sorted(train + valid) == list(range(6))
    assert photos.split(100)[1] == [1, 3, 5]  # never more than half
    assert photos.split(0) == ([0, 1, 2, 3, 4, 5], [])


def test_broken_files_are_skipped_counted_and_named(tmp_path: Path, picture: Picture) -> None:
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(picture(30, 40)).save(folder / "sub" / "good.png")
    whole = (folder / "sub" / "good.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_bytes(b"not a photograph")
    (folder / "notes.txt").write_text("ignored")
    for _ in range(2):  # the second time from the cache
        photos = Photos.open(folder, cache=tmp_path / "cache")
        assert photos.names == ["sub/good.png"]
        assert [name for name, _ in photos.skipped] == ["cut.png", "text.jpg"]
        assert all(why and "\n" not in why for _, why in photos.skipped)
    assert len(list((tmp_path / "cache").glob("*.json"))) == 1


def test_other_kinds_of_picture_become_rgb(tmp_path: Path, picture: Picture) -> None:
    rgb = Image.fromarray(picture(20, 30))
    for mode, suffix in (("L", "png"), ("CMYK", "jpg"), ("RGBA", "png"), ("P", "png"), ("I;16", "png")):
        image = Image.fromarray(np.zeros((20, 30), np.uint16)) if mode == "I;16" else rgb.convert(mode)
        image.save(tmp_path / f"{mode.replace(';', '')}.{suffix}")
    photos = Photos.open(tmp_path, cache=tmp_path / "cache")
    assert photos.skipped == []
    assert [photos.picture(i).shape for i in range(5)] == [(20, 30, 3)] * 5


def test_nothing_to_train_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no photographs"):
        Photos.open(tmp_path)
    (tmp_path / "bad.png").write_bytes(b"bad")
    with pytest.raises(ValueError, match=r"bad\.png"):
        Photos.open(tmp_path, cache=tmp_path / "cache")
    with pytest.raises(ValueError, match="neither"):
        Photos.open(tmp_path / "nowhere")


def test_a_damaged_cache_is_noticed(tmp_path: Path, picture: Picture) -> None:
    Image.fromarray(picture(30, 40)).save(tmp_path / "a.png")
    Photos.open(tmp_path, cache=tmp_path / "cache")
    packed = next((tmp_path / "cache").glob("*.u8"))
    packed.write_bytes(packed.read_bytes()[:-3])
    with pytest.raises(ValueError, match="decode anew"):
        Photos.open(tmp_path, cache=tmp_path / "cache")


def test_streamed_and_packed_photographs_give_the_same_crops(folder: Path, photos: Photos) -> None:
    streamed = Photos.open(folder, stream=True)
    assert streamed.describe() == photos.describe()
    key = ([0, 1, 2, 3, 4, 5], (4, 4, 0), 8, 64)
    assert torch.equal(streamed.crops(*key), photos.crops(*key))


def test_webdataset_shards(tmp_path: Path, picture: Picture) -> None:
    """Tar files of samples: photographs are read in place, what else a sample has is left alone."""
    pictures = {}
    for shard in range(2):
        with tarfile.open(tmp_path / f"photos-{shard:04}.tar", "w") as tar:
            for k in range(3):
                pixels = picture(70 + k, 90, 10 * shard + k)
                png = io.BytesIO()
                Image.fromarray(pixels).save(png, "PNG")
                for suffix, data in (("png", png.getvalue()), ("json", b"{}")):
                    entry = tarfile.TarInfo(f"{k:06}.{suffix}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
                pictures[f"photos-{shard:04}.tar/{k:06}.png"] = pixels
            broken = tarfile.TarInfo("broken.png")
            broken.size = 5
            tar.addfile(broken, io.BytesIO(b"12345"))
    for source in (tmp_path, tmp_path / "photos-0001.tar"):
        photos = Photos.open(source)
        expected = {k: v for k, v in pictures.items() if source.is_dir() or k.startswith(source.name)}
        assert photos.names == list(expected)
        assert all(np.array_equal(photos.picture(i), v) for i, v in enumerate(expected.values()))
        assert {name.split("/")[1] for name, _ in photos.skipped} == {"broken.png"}


def test_several_folders_are_counted_through(
    tmp_path: Path, picture: Picture, photos: Photos, folder: Path
) -> None:
    (tmp_path / "more").mkdir()
    Image.fromarray(picture(64, 64, 9)).save(tmp_path / "more" / "x.png")
    both = Photos.open(folder, tmp_path / "more", cache=tmp_path / "cache")
    assert both.names == [*photos.names, "x.png"]
    assert np.array_equal(both.picture(6), picture(64, 64, 9))
    resident = DevicePhotos(both, torch.device("cpu"), 64)
    plan = both.plan([5, 6], (1,), 4, 64)
    assert torch.equal(resident.cut(plan), both.cut(plan, 64))


def test_an_index_of_the_old_form_is_read(tmp_path: Path, picture: Picture) -> None:
    pixels = picture(16, 24)
    (tmp_path / "old.u8").write_bytes(pixels.tobytes())
    (tmp_path / "old.json").write_text(json.dumps([["a.png", 0, 16, 24]]))
    assert np.array_equal(Photos.open(tmp_path / "old").picture(0), pixels)


def test_a_streamed_picture_that_breaks_later_is_grey(tmp_path: Path, picture: Picture) -> None:
    for k in range(2):
        Image.fromarray(picture(80, 80, k)).save(tmp_path / f"{k}.png")
    photos = Photos.open(tmp_path, stream=True)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:400])
    with pytest.warns(UserWarning, match=r"1\.png is broken"):
        crop = photos.centres([1], 64)
    assert (crop == 128).all()
    assert np.array_equal(photos.picture(0), picture(80, 80, 0))
