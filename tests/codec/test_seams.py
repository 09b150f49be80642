"""Where tiles meet: smooth, dark areas go on over the border."""

from __future__ import annotations

import numpy as np
import pytest

from calotype.codec import library
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture

TILE, GRID, RUN = 128, 16, 32


def dark(height: int, width: int) -> np.ndarray:
    """Slow shading from 4 to 32 levels, and a little noise."""
    y, x = np.mgrid[0:height, 0:width]
    plane = 14 + 10 * np.sin(x / 71 + y / 93) + 0.03 * y
    noise = np.random.default_rng(0).normal(0, 1.5, (height, width, 1))
    return np.clip(plane[:, :, None] * np.array([1, 0.8, 1.3]) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("tuned", library.TUNES.values())
def test_tiles_do_not_end_levels_apart(tuned: str) -> None:
    """Rows on either side of a border lie about as far apart as other rows do: 4.4 times as far without."""
    pixels, pack = dark(2 * TILE, 2 * TILE), library.load(tuned)
    data = encode(Picture(pixels), quality=50, pack=pack, tile=TILE).data
    error = (decode(data, pack=pack).picture.pixels.astype(float) - pixels).mean(-1)
    border, other = [], []
    for lines in (error, error.T):
        runs = lines.reshape(len(lines), -1, RUN).mean(-1)
        for line in range(GRID, len(lines), GRID):
            (other if line % TILE else border).append(np.abs(runs[line] - runs[line - 1]))
    assert np.mean(other) < 0.5
    assert np.mean(border) < 2 * np.mean(other)
    assert np.max(border) < 2
