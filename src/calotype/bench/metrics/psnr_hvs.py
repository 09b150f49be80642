"""PSNR-HVS and PSNR-HVS-M: squared error of 8x8 DCT coefficients, weighted by contrast sensitivity.

PSNR-HVS-M also forgives what the block's own contrast masks. JPEG AI's tools print the first under the name
of the second; compare like with like. Luma: 10-bit BT.709, 0 to 1; sides are extended to multiples of 8 by
repetition.

Source: Ponomarenko et al., "On between-coefficient contrast masking of DCT basis functions", VPQM 2007.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from calotype.bench.metrics._planes import Picture, Plane, luma709, to_multiple

# Both tables of the paper come from the luminance quantisation table of JPEG (ITU-T T.81, Annex K.1).
_JPEG_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.float64,
)
_SENSITIVITY = 25.735088 / _JPEG_LUMINANCE
_MASKING = (10.0 / _JPEG_LUMINANCE) ** 2
_MASKING[0, 0] = 0.0  # the mean of a block masks nothing

_k, _n = np.mgrid[0:8, 0:8]
_DCT = np.where(_k == 0, math.sqrt(1 / 8), 0.5) * np.cos(np.pi * (2 * _n + 1) * _k / 16)


def psnr_hvs(reference: Picture, decoded: Picture) -> float:
    """PSNR-HVS in dB, higher is better; ``inf`` for equal luma."""
    a, b = _blocks(reference), _blocks(decoded)
    return _decibel(_dct(a) - _dct(b))


def psnr_hvs_m(reference: Picture, decoded: Picture) -> float:
    """PSNR-HVS-M in dB, higher is better; ``inf`` where every difference is masked."""
    a, b = _blocks(reference), _blocks(decoded)
    dct_a, dct_b = _dct(a), _dct(b)
    mask = np.maximum(_mask(a, dct_a), _mask(b, dct_b))[:, None, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        threshold = np.where(_MASKING > 0, mask / _MASKING, 0.0)
    return _decibel(np.maximum(np.abs(dct_a - dct_b) - threshold, 0.0))


def _blocks(image: Picture) -> NDArray[np.float64]:
    """The luma as ``[number of blocks, 8, 8]``."""
    plane = to_multiple(luma709(image), 8)
    height, width = plane.shape
    blocks: Plane = plane.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    return blocks


def _dct(blocks: Plane) -> Plane:
    return np.asarray(_DCT @ blocks @ _DCT.T)


def _mask(blocks: Plane, dct: Plane) -> Plane:
    """How much contrast each block hides: its weighted AC energy, less where an edge makes its quarters
    unlike it.
    """
    energy = np.einsum("bij,ij->b", dct * dct, _MASKING)
    whole = _spread(blocks)
    quarters = sum(_spread(blocks[:, i : i + 4, j : j + 4]) for i in (0, 4) for j in (0, 4))
    flat = whole == 0
    ratio = np.where(flat, 0.0, quarters / np.where(flat, 1.0, whole))
    return np.asarray(np.sqrt(energy * ratio / 16.0) / 8.0)


def _spread(blocks: Plane) -> Plane:
    """Sample variance times the number of samples, per block."""
    return np.asarray(blocks.var(axis=(1, 2), ddof=1) * (blocks.shape[1] * blocks.shape[2]))


def _decibel(difference: Plane) -> float:
    error = float(np.mean((difference * _SENSITIVITY) ** 2))
    return math.inf if error == 0.0 else -10.0 * math.log10(error)
