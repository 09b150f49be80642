"""What lies under transparent pixels: nobody sees it, so it may be what costs least.

Where alpha is 0, the colour is replaced by a smooth continuation of what is visible around: averages of
visible pixels over ever larger squares, coarse to fine (*pull-push*, Gortler et al., The Lumigraph, 1996).
Other colours there cost bytes, and their edge with the visible part is blurred into it.

Drawings, such as icons, are stored as pixels, of which smooth ones cost most: theirs becomes the commonest
of the visible colours. Which of both is better for a small picture is found by encoding it with both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.codec.arrays import UInt8Array

Floats = NDArray[np.float32]

_BLOCK = 16  # pixels on a side of a cell of the coarse picture
_DRAWN = 0.5  # of the visible pixels are as one beside them, in drawings
_TRIED = 256 * 256  # pixels up to which both are tried
_CLEAR = 50.0  # dB beyond which nothing is seen
_STRIP = 16 * _BLOCK  # rows at a time, so that large pictures need little memory


def conceal(pixels: UInt8Array, alpha: UInt8Array) -> list[UInt8Array]:
    """``pixels`` [H, W, 3] with other colours where ``alpha`` [H, W] is 0, in one way or in two that are to
    be tried, the likelier first; the same array if it never is 0.

    What is visible stays as it is, to the last bit."""
    visible = alpha > 0
    if visible.all() or not visible.any():
        return [pixels if visible.all() else np.full_like(pixels, 128)]
    tried, drawn = alpha.size <= _TRIED, _is_drawn(pixels, visible)
    ways = []
    if drawn or tried:
        ways.append(np.where(visible[:, :, None], pixels, _commonest(pixels[visible])))
    if tried or not drawn:
        ways.insert(len(ways) if drawn else 0, _continued(pixels, alpha))
    return ways


def likeness(pixels: UInt8Array, alpha: UInt8Array, shown: UInt8Array) -> float:
    """How like ``pixels`` [H, W, 3] others are as far as they are seen, in dB, at most _CLEAR."""
    missed = (pixels.astype(np.float32) - shown) * (alpha[:, :, None] / np.float32(255))
    return min(-10 * math.log10(max(float(np.square(missed).mean()), 1e-9) / 255**2), _CLEAR)


def _continued(pixels: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """With what goes on from the visible parts."""
    height = alpha.shape[0]
    coarse = _coarse(pixels, alpha)
    result: UInt8Array = pixels.copy()
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        hidden = alpha[top:bottom] == 0
        if hidden.any():
            # A block more on either side, so that strips meet without a seam.
            above, below = max(0, top - _BLOCK), min(bottom + _BLOCK, height)
            rows = slice(above // _BLOCK, -(-below // _BLOCK))
            filled = _fill(pixels[above:below], alpha[above:below], coarse[rows])
            np.copyto(result[top:bottom], filled[top - above : bottom - above], where=hidden[:, :, None])
    return result


def _is_drawn(pixels: UInt8Array, visible: NDArray[np.bool_]) -> bool:
    """Whether most of the visible pixels are as the visible one to the left or above."""
    same = np.zeros_like(visible)
    same[:, 1:] |= (pixels[:, 1:] == pixels[:, :-1]).all(axis=2) & visible[:, :-1]
    same[1:] |= (pixels[1:] == pixels[:-1]).all(axis=2) & visible[:-1]
    return bool((same & visible).sum() > _DRAWN * visible.sum())


def _commonest(colours: UInt8Array) -> UInt8Array:
    """Of [n, 3]."""
    packed = colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    numbers, counts = np.unique(np.asarray(packed, np.uint32), return_counts=True)
    number = int(numbers[counts.argmax()])
    return np.array([number >> 16, number >> 8 & 255, number & 255], np.uint8)


def _coarse(pixels: UInt8Array, alpha: UInt8Array) -> Floats:
    """The mean visible colour of every block, those without one filled from their neighbours."""
    cells, weights = [], []
    for top in range(0, alpha.shape[0], _STRIP):
        cell, weight = _levels(pixels[top : top + _STRIP], alpha[top : top + _STRIP], 4)[-1]
        cells.append(cell)
        weights.append(weight)
    return _spread(np.concatenate(cells), np.concatenate(weights))


def _levels(pixels: UInt8Array, alpha: UInt8Array, count: int) -> list[tuple[Floats, Floats]]:
    """Colours times weights, and weights, at 1/2, 1/4, ... of the size, padded to whole blocks."""
    height, width = alpha.shape
    pad = ((0, -height % _BLOCK), (0, -width % _BLOCK), (0, 0))
    visible = (alpha > 0).astype(np.uint8)[:, :, None]
    sums = _sums(np.pad(pixels * visible, pad).astype(np.uint16)), _sums(np.pad(visible, pad))
    levels = [_capped(*(part.astype(np.float32) for part in sums))]
    while len(levels) < count:
        levels.append(_halve(*levels[-1]))
    return levels


def _halve(cell: Floats, weight: Floats) -> tuple[Floats, Floats]:
    return _capped(_sums(cell), _sums(weight))


def _capped(cell: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Sums with weights of no more than 1, so that a few colours near by count as much as many."""
    scale = 1 / np.maximum(weight, np.float32(1))
    return cell * scale, weight * scale


def _sums(values: NDArray[Any]) -> NDArray[Any]:
    """Over squares of two."""
    height, width, _ = values.shape
    if height % 2 or width % 2:
        values = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    rows = values[0::2] + values[1::2]
    sums: NDArray[Any] = rows[:, 0::2] + rows[:, 1::2]
    return sums


def _spread(cell: Floats, weight: Floats) -> Floats:
    """Colours everywhere: where the weight is below 1, the rest comes from the coarser picture."""
    if max(cell.shape[:2]) == 1:
        return cell / weight if weight.item() > 0 else np.full_like(cell, 128)
    below = _double(_spread(*_halve(cell, weight)))[: cell.shape[0], : cell.shape[1]]
    return cell + (1 - weight) * below


def _fill(pixels: UInt8Array, alpha: UInt8Array, coarse: Floats) -> UInt8Array:
    """Colours for all pixels, of which those under alpha 0 are of use."""
    filled = coarse
    for cell, weight in reversed(_levels(pixels, alpha, 3)):
        filled = cell + (1 - weight) * _double(filled)
    return _double(filled)[: alpha.shape[0], : alpha.shape[1]]


def _double(values: Floats) -> UInt8Array:
    """Twice as large, linear between the middles."""
    image = Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return np.asarray(image.resize((2 * image.width, 2 * image.height), Image.Resampling.BILINEAR))
