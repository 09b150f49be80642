"""What lies under transparent pixels: nobody sees it, so it may be what costs least.

Where alpha is 0, the colour is replaced by a smooth continuation of what is visible around: averages of
visible pixels over ever larger squares, coarse to fine (*pull-push*, Gortler et al., The Lumigraph, 1996).
Other colours there cost bytes, and their edge with the visible part is blurred into it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UInt8Array = NDArray[np.uint8]
Floats = NDArray[np.float32]

_BLOCK = 16  # pixels on a side of a cell of the coarse picture
_STRIP = 16 * _BLOCK  # rows at a time, so that large pictures need little memory


def conceal(pixels: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """``pixels`` [H, W, 3] with other colours where ``alpha`` [H, W] is 0; the same array if it never is.

    What is visible stays as it is, to the last bit."""
    if alpha.all():
        return pixels
    height = alpha.shape[0]
    coarse = _coarse(pixels, alpha)
    result = np.empty_like(pixels)
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        # A block more on either side, so that strips meet without a seam.
        above, below = max(0, top - _BLOCK), min(bottom + _BLOCK, height)
        rows = slice(above // _BLOCK, -(-below // _BLOCK))
        filled = _fill(pixels[above:below], alpha[above:below], coarse[rows])
        part = slice(top - above, bottom - above)
        visible = alpha[top:bottom, :, None] > 0
        result[top:bottom] = np.where(visible, pixels[top:bottom], filled[part])
    return result


def _coarse(pixels: UInt8Array, alpha: UInt8Array) -> Floats:
    """The mean visible colour of every block, those without one filled from their neighbours."""
    cells, weights = [], []
    for top in range(0, alpha.shape[0], _STRIP):
        cell, weight = _start(pixels[top : top + _STRIP], alpha[top : top + _STRIP])
        for _ in range(4):
            cell, weight = _halve(cell, weight)
        cells.append(cell)
        weights.append(weight)
    return _spread(np.concatenate(cells), np.concatenate(weights))


def _start(pixels: UInt8Array, alpha: UInt8Array) -> tuple[Floats, Floats]:
    """Colours times weights, and weights, padded to whole blocks."""
    height, width = alpha.shape
    pad = ((0, -height % _BLOCK), (0, -width % _BLOCK))
    weight = np.pad((alpha > 0).astype(np.float32), pad)[:, :, None]
    return np.pad(pixels.astype(np.float32), (*pad, (0, 0))) * weight, weight


def _halve(cell: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Sums over squares of two, weights no more than 1, so that near colours count as much as many."""
    cell, weight = _sums(cell), _sums(weight)
    scale = (1 / np.maximum(weight, 1)).astype(np.float32)
    return cell * scale, weight * scale


def _sums(values: Floats) -> Floats:
    height, width, channels = values.shape
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    sums: Floats = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, channels).sum(axis=(1, 3))
    return sums


def _spread(cell: Floats, weight: Floats) -> Floats:
    """Colours everywhere: where the weight is below 1, the rest comes from the coarser picture."""
    if min(cell.shape[:2]) == 1 and max(cell.shape[:2]) == 1:
        return np.where(weight > 0, cell / np.maximum(weight, 1e-6), np.float32(128))
    below = _spread(*_halve(cell, weight))
    return cell + (1 - weight) * _double(below, cell.shape[:2])


def _fill(pixels: UInt8Array, alpha: UInt8Array, coarse: Floats) -> UInt8Array:
    levels = [_start(pixels, alpha)]
    for _ in range(3):
        levels.append(_halve(*levels[-1]))
    filled = coarse
    for cell, weight in reversed(levels):
        filled = cell + (1 - weight) * _double(filled, cell.shape[:2])
    filled = filled[: alpha.shape[0], : alpha.shape[1]]
    return np.clip(np.rint(filled), 0, 255).astype(np.uint8)


def _double(values: Floats, shape: tuple[int, ...]) -> Floats:
    """Twice as large, linear between the middles."""
    bands = [Image.fromarray(np.ascontiguousarray(values[:, :, c])) for c in range(values.shape[2])]
    size = (2 * values.shape[1], 2 * values.shape[0])
    large = [np.asarray(band.resize(size, Image.Resampling.BILINEAR)) for band in bands]
    return np.stack(large, axis=2)[: shape[0], : shape[1]]
