"""``imageio.v3`` reads and writes .calo files, whichever of the two packages is imported first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

iio = pytest.importorskip("imageio.v3")

import calotype  # noqa: E402
from calotype.plugins import imageio as plugin  # noqa: E402

plugin.register()  # another test may have imported calotype before imageio

PIXELS = np.stack([np.tile(np.arange(120, dtype=np.uint8), (80, 1))] * 3, axis=-1) + np.uint8(40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.calo"


def test_there_and_back(path: Path) -> None:
    iio.imwrite(path, PIXELS, quality=100)
    assert path.read_bytes() == calotype.encode(PIXELS, quality=100)
    again = iio.imread(path)
    assert again.dtype == np.uint8
    assert np.array_equal(again, PIXELS)
    assert iio.improps(path).shape == (80, 120, 3)
    assert np.array_equal(iio.imread(path.read_bytes()), PIXELS)


def test_options_reach_the_encoder(path: Path) -> None:
    iio.imwrite(path, PIXELS, quality=30)
    assert path.read_bytes() == calotype.encode(PIXELS, quality=30)
    with pytest.raises(ValueError, match="quality"):
        iio.imwrite(path, PIXELS, quality=300)


def test_without_a_name() -> None:
    data = iio.imwrite("<bytes>", PIXELS, extension=".calo", lossless=True)
    assert np.array_equal(calotype.decode(data), PIXELS)


def test_alpha_and_grey(path: Path) -> None:
    for shape in ((80, 120), (80, 120, 4)):
        pixels = np.full(shape, 200, np.uint8)
        iio.imwrite(path, pixels, lossless=True)
        assert np.array_equal(iio.imread(path), pixels)


def test_other_formats_are_left_to_others(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "x.png", PIXELS)
    assert np.array_equal(iio.imread(tmp_path / "x.png"), PIXELS)
    with pytest.raises(OSError, match="can not handle"):
        iio.imread(tmp_path / "x.png", plugin=plugin.CaloPlugin)
    with pytest.raises(OSError, match="can not handle"):
        iio.imwrite(tmp_path / "y.png", PIXELS, plugin=plugin.CaloPlugin)


def test_damaged_files_are_named(path: Path) -> None:
    iio.imwrite(path, PIXELS)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(OSError, match=r"truncated|end|beyond"):
        iio.imread(path)


@pytest.mark.parametrize(
    "lines",
    [
        "import calotype; import imageio.v3 as iio; a = iio.imread('x.calo')",
        "import imageio.v3 as iio; import calotype; a = iio.imread('x.calo')",
        "import imageio.v3 as iio; import calotype; a = iio.imread('x.calo', plugin='calotype')",
        "import imageio.v3 as iio; from calotype.plugins.imageio import CaloPlugin as p; "
        "a = iio.imread('x.calo', plugin=p)",
    ],
)
def test_in_any_order(path: Path, lines: str) -> None:
    calotype.save(PIXELS, path, lossless=True)
    code = f"{lines}; print(a.shape, int(a.sum()))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=path.parent, capture_output=True, text=True
    )
    assert done.stdout.split("\n")[0] == f"(80, 120, 3) {int(PIXELS.sum())}", done.stderr
