"""Residuals on a trellis, with the pack for PSNR, whose measure is near to what is traded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import reader

import calotype
from calotype.codec import bits, library, manifest, tensors
from calotype.codec.metrics import psnr
from calotype.codec.pack import Pack
from calotype.errors import PackError
from calotype.lab.pack.folder import publish

PHOTO = Path(__file__).parents[2] / "src/calotype/cli/photos/lake-sherburne.jpg"
PSNR = library.load(library.tuned("psnr"))


@pytest.fixture(scope="module")
def pixels():
    with Image.open(PHOTO) as image:
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[200:456, 100:484])


def coded(pixels, quality, effort=0):
    """Logarithm of the bytes, and PSNR."""
    data = calotype.encode(pixels, quality, pack=PSNR.path, effort=effort)
    return np.log(len(data)), psnr(pixels, np.asarray(calotype.decode(data, pack=PSNR.path)))


def fewer(point, below, above):
    """How much less a point needs than a curve between two others does, in the logarithm."""
    assert below[1] < point[1] < above[1]
    return np.interp(point[1], (below[1], above[1]), (below[0], above[0])) - point[0]


@pytest.mark.parametrize("quality", [5, 60, 99])
def test_all_threads_write_the_same(pixels, quality):
    files = {calotype.encode(pixels, quality, pack=PSNR.path, threads=n) for n in (1, 2, 3)}
    assert len(files) == 1
    decoded = [calotype.decode(files.copy().pop(), pack=PSNR.path, threads=n) for n in (1, 2, 3)]
    assert all(np.array_equal(other, decoded[0]) for other in decoded)


def test_the_second_reader_sees_the_same(pixels):
    data = calotype.encode(pixels[:70, :100], 60, pack=PSNR.path)
    _, found, small = reader.read(data, PSNR.file(manifest.TABLES), PSNR.file(manifest.NETWORKS))
    np.testing.assert_array_equal(found, calotype.decode(data, pack=PSNR.path))
    np.testing.assert_array_equal(small, calotype.preview(data, pack=PSNR.path))


def test_bits_are_accounted_for(pixels):
    data = calotype.encode(pixels, 60, pack=PSNR.path)
    found = bits.count(data, pack=PSNR.path)
    counted = sum(part.sum() for part in found.maps.values())
    assert 0 <= found.payload - counted < 128 + 0.01 * found.payload


def test_effort_gains(pixels):
    ends = coded(pixels, 50), coded(pixels, 55)
    assert fewer(coded(pixels, 50, effort=3), *ends) > 0.005


@pytest.mark.parametrize("missing", ["tables", "half_step"])
def test_a_pack_without_is_refused(tmp_path, missing):
    arrays = dict(tensors.load(PSNR.file(manifest.TABLES)))
    if missing == "half_step":
        del arrays["half_step"]
    else:
        used = int(arrays["r_lengths"][:192].sum())
        arrays["r_frequencies"] = arrays["r_frequencies"][:used]
        arrays |= {f"r_{name}": arrays[f"r_{name}"][:192] for name in ("lengths", "offsets")}
    files = {"tables": arrays}
    for name in (manifest.NETWORKS, manifest.ENCODER):
        files[name.partition(".")[0]] = tensors.load(PSNR.file(name))
    fields = json.loads(manifest.read(PSNR.path, manifest.NAME))
    publish(files, {k: v for k, v in fields.items() if k not in ("id", "files")}, tmp_path / "pack")
    with pytest.raises(PackError, match="384 are needed" if missing == "tables" else "half_step"):
        Pack(tmp_path / "pack")
