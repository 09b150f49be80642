"""Arguments of the wrong kind: one line that names the argument and says what it must be."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import calotype

IMAGE = Image.new("RGB", (16, 12), (200, 30, 60))
DATA = calotype.encode(IMAGE, 100)
NUMBERS = ["quality", "target_size", "target_bpp", "target_psnr", "target_ms_ssim", "target_ssimulacra2"]
WRONG: dict[str, list[Any]] = {
    **{name: ["80", "40k", [1], b"1", object(), True, np.True_] for name in NUMBERS},
    **{name: ["x", 1.5, [1], True, False] for name in ("effort", "threads", "frame")},
    "pack": [3, [1], b"photo-eyes"],
    "tune": [3, ["eyes"], "ears"],
    "exif": [3, "abc", [1]],
    "icc_profile": [3, "abc", [1]],
    "xmp": [3, [1], 2.5],
}
WRONG_READING: dict[str, list[Any]] = {
    "region": ["abc", 3, (1, 2, 3), ("a", "b", "c", "d"), (0.0, 0.0, 4.5, 4.0), (False, 0, 4, True), {1: 2}],
    "pack": [3, [1]],
    "threads": ["x", 1.5, True],
    "max_pixels": ["1M", [1], True],
    "max_metadata": ["1M", [1]],
    "damaged": ["x", 3],
}


def complaint(call: Callable[..., Any], *given: Any, **options: Any) -> str:
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*given, **options)
    assert type(caught.value) in (TypeError, ValueError)
    return str(caught.value)


def check(said: str, name: str) -> None:
    assert said.startswith(f"{name} must be "), said
    assert "\n" not in said
    assert len(said) < 150


@pytest.mark.parametrize("name", WRONG)
def test_encoding(tmp_path: Path, name: str) -> None:
    for value in WRONG[name]:
        check(complaint(calotype.encode, IMAGE, **{name: value}), name)
        check(complaint(calotype.save, IMAGE, tmp_path / "x.calo", **{name: value}), name)
        if name != "frame":  # Pillow saves the one that an image is at
            check(complaint(IMAGE.save, io.BytesIO(), "CALO", **{name: value}), name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WRONG_READING)
def test_decoding(name: str) -> None:
    for value in WRONG_READING[name]:
        check(complaint(calotype.decode, DATA, **{name: value}), name)
        check(complaint(calotype.open, io.BytesIO(DATA), **{name: value}), name)
        if name != "region":
            check(complaint(calotype.preview, DATA, **{name: value}), name)
        if name in ("pack", "max_pixels", "max_metadata"):
            check(complaint(calotype.probe, DATA, **{name: value}), name)


def test_a_long_value_is_not_printed_whole() -> None:
    check(complaint(calotype.encode, IMAGE, exif="x\n" * 10_000), "exif")


@pytest.mark.parametrize("name", ["lossless", "strip", "keep_hidden_colour"])
@pytest.mark.parametrize("value", [5, 1, "yes", [True]])
def test_a_switch_is_true_or_false(name: str, value: object) -> None:
    check(complaint(calotype.encode, IMAGE, **{name: value}), name)
    assert calotype.encode(IMAGE, 100, **{name: np.True_}) == calotype.encode(IMAGE, 100, **{name: True})


def test_a_text_in_place_of_keep_is_a_wrong_value() -> None:
    for name in ("exif", "icc_profile"):
        with pytest.raises(ValueError, match="keep"):
            calotype.encode(IMAGE, **{name: "abc"})


@pytest.mark.parametrize("number", [np.int64, np.uint8, int])
def test_numbers_of_numpy_are_numbers(number: Callable[[int], Any]) -> None:
    data = calotype.encode(IMAGE, quality=number(100), threads=number(1), frame=number(0), exif=b"", xmp="")
    assert data == DATA
    assert calotype.encode(IMAGE, np.float32(100)) == DATA
    box = (1, 2, 9, 10)
    for region in (tuple(map(number, box)), list(box), np.array(box)):
        assert calotype.decode(data, region, max_pixels=1e9).size == (8, 8)
