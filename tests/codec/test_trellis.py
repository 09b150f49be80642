"""A pack whose residuals are on a trellis: made from the one for PSNR, used as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests import reader
from tests.bench.scripts import script

import calotype
from calotype.codec import bits, library, manifest, tensors
from calotype.codec.metrics import psnr
from calotype.codec.pack import Pack

TRELLIS = script("trellis")
PHOTO = Path(__file__).parents[2] / "src/calotype/cli/photos/lake-sherburne.jpg"
PLAIN = library.load(library.tuned("psnr"))


@pytest.fixture(scope="module")
def pixels():
    with Image.open(PHOTO) as image:
        return np.ascontiguousarray(np.asarray(image.convert("RGB"))[200:456, 100:484])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, pixels):
    found = tmp_path_factory.mktemp("trellis") / "pack"
    TRELLIS.on_trellis(PLAIN, [pixels[:, :256]], found, 0.78)
    return found


def coded(pixels, quality, pack, effort=0):
    """Logarithm of the bytes, and PSNR."""
    data = calotype.encode(pixels, quality, pack=pack, effort=effort)
    return np.log(len(data)), psnr(pixels, np.asarray(calotype.decode(data, pack=pack)))


def fewer(point, below, above):
    """How much less a point needs than a curve between two others does, in the logarithm."""
    assert below[1] < point[1] < above[1]
    return np.interp(point[1], (below[1], above[1]), (below[0], above[0])) - point[0]


def test_fewer_bits_for_the_same_error(folder, pixels):
    ends = coded(pixels, 50, PLAIN), coded(pixels, 60, PLAIN)
    assert fewer(coded(pixels, 60, folder), *ends) > 0.02


@pytest.mark.parametrize("quality", [5, 60, 99])
def test_all_threads_write_the_same(folder, pixels, quality):
    files = {calotype.encode(pixels, quality, pack=folder, threads=n) for n in (1, 2, 3)}
    assert len(files) == 1
    decoded = [calotype.decode(files.copy().pop(), pack=folder, threads=n) for n in (1, 2, 3)]
    assert all(np.array_equal(other, decoded[0]) for other in decoded)


def test_the_second_reader_sees_the_same(folder, pixels):
    data = calotype.encode(pixels[:70, :100], 60, pack=folder)
    pack = Pack(folder)
    _, found, small = reader.read(data, pack.file(manifest.TABLES), pack.file(manifest.NETWORKS))
    np.testing.assert_array_equal(found, calotype.decode(data, pack=folder))
    np.testing.assert_array_equal(small, calotype.preview(data, pack=folder))


def test_bits_are_accounted_for(folder, pixels):
    data = calotype.encode(pixels, 60, pack=folder)
    found = bits.count(data, pack=folder)
    counted = sum(part.sum() for part in found.maps.values())
    assert 0 <= found.payload - counted < 128 + 0.01 * found.payload


def test_effort_gains(folder, pixels):
    ends = coded(pixels, 50, folder), coded(pixels, 55, folder)
    assert fewer(coded(pixels, 50, folder, effort=2), *ends) > 0.01


def test_a_trellis_is_laid_once(folder, tmp_path):
    with pytest.raises(ValueError, match="on a trellis already"):
        TRELLIS.on_trellis(Pack(folder), [], tmp_path / "again", 0.78)


def test_golden_residuals_have_the_numbers_of_others(folder):
    before, after = (tensors.load(pack.file(manifest.TABLES)) for pack in (PLAIN, Pack(folder)))
    np.testing.assert_array_equal(before["golden_index"], after["golden_index"])
    n, r = before["golden_r"].astype(int), after["golden_r"].astype(int)
    np.testing.assert_array_equal((np.abs(r) + 1) // 2, np.abs(n))
    np.testing.assert_array_equal(TRELLIS.values(n[0].astype(np.int32), before["golden_index"][0]), r[0])
