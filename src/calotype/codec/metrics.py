"""How close two pictures are: PSNR and MS-SSIM, in numpy alone.

Both take the original and the decoded picture as arrays of one shape, ``[H, W]`` or ``[H, W, C]``, and
return one number, higher is better. They serve the rate search (``--target-psnr``, ``--target-ms-ssim``),
``calotype compare`` and the benchmark, so that all three speak of the same figure.

Sources: Wang, Simoncelli, Bovik, "Multiscale structural similarity for image quality assessment", Asilomar
2003; the details (valid filtering, pooling of odd sides, clipping at 0, mean over channels) follow
pytorch-msssim 1.0.0, whose values the literature on learned codecs reports.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Real: TypeAlias = NDArray[Any]
Float: TypeAlias = NDArray[np.float64]

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first (Wang 2003). They sum to 1.0001, as published."""

SMALLEST_SIDE = 161
"""Five scales of an 11-tap window need sides above 160 pixels; `ms_ssim` extends smaller pictures."""

_EXTENDED_SIDE = 164
_CHUNK = 1 << 20
_STRIP = 64
_BLOCK = 16


def psnr(reference: Real, decoded: Real, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio over all samples, in dB.

    ``10 log10(peak^2 / MSE)`` with the squared error averaged over every sample of every channel (for RGB
    this is the PSNR-RGB of the literature). ``inf`` when the pictures are equal. Raises `ValueError` when
    shapes differ.
    """
    _check(reference, decoded)
    a, b = reference.reshape(-1), decoded.reshape(-1)
    error = 0.0
    for start in range(0, a.size, _CHUNK):  # 8-byte copies of a whole gigapixel picture do not fit in memory
        d = a[start : start + _CHUNK].astype(np.float64) - b[start : start + _CHUNK]
        error += float(np.square(d).sum())  # no BLAS, whose threads would spin on into what comes next
    if error == 0.0:
        return math.inf
    return 10.0 * math.log10(peak * peak * a.size / error)


def ms_ssim(reference: Real, decoded: Real, peak: float = 255.0) -> float:
    """Multi-scale structural similarity, 0 to 1, mean over the channels.

    Five scales, 11-tap Gaussian window of sigma 1.5, K = (0.01, 0.03). A side shorter than 161 pixels is
    extended to 164 by repeating the last row or column of both pictures; the definition does not reach such
    pictures, so compare their values only with values made the same way. Raises `ValueError` when shapes
    differ.
    """
    _check(reference, decoded)
    a, b = (x[..., None] if x.ndim == 2 else x for x in (reference, decoded))
    if min(a.shape[:2]) < SMALLEST_SIDE:
        a, b = _extend(a), _extend(b)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    window = gaussian_window(11, 1.5)
    values = []
    for channel in range(a.shape[2]):
        x, y = a[..., channel], b[..., channel]
        value = 1.0
        for scale, weight in enumerate(WEIGHTS):
            last = scale == len(WEIGHTS) - 1
            value *= max(_similarity(x, y, window, c1, c2, luminance=last), 0.0) ** weight
            if not last:
                x, y = _halve(x), _halve(y)
        values.append(value)
    return float(np.mean(values))


def to_db(similarity: float) -> float:
    """A similarity of 0 to 1 on the dB scale, ``-10 log10(1 - similarity)``; ``inf`` for 1."""
    return math.inf if similarity >= 1.0 else 0.0 - 10.0 * math.log10(1.0 - similarity)


def gaussian_window(taps: int, sigma: float) -> Float:
    """`taps` samples of a Gaussian of standard deviation `sigma` around the centre tap, summing to 1."""
    x = np.arange(taps) - (taps - 1) / 2
    g = np.exp(-(x * x) / (2.0 * sigma * sigma))
    return np.asarray(g / g.sum(), dtype=np.float64)


def filter_valid(maps: Real, window: Real) -> Real:
    """Correlate ``[..., H, W]`` with `window` along rows and columns, where it fits: ``[..., H-n+1,
    W-n+1]``; in float32 when both are.

    The filter is applied as products with small banded matrices, which BLAS does several times faster than
    numpy adds shifted copies.
    """
    n = window.size
    kind = np.result_type(maps, window)
    band = np.zeros((_BLOCK, _BLOCK + n - 1), kind)
    for i in range(_BLOCK):
        band[i, i : i + n] = window
    *rest, height, width = maps.shape
    high, wide = height - n + 1, width - n + 1
    rows = np.empty((*rest, high, width), kind)
    for i in range(0, high, _BLOCK):
        m = min(_BLOCK, high - i)
        rows[..., i : i + m, :] = band[:m, : m + n - 1] @ maps[..., i : i + m + n - 1, :]
    out = np.empty((*rest, high, wide), kind)
    for j in range(0, wide, _BLOCK):
        m = min(_BLOCK, wide - j)
        out[..., j : j + m] = rows[..., j : j + m + n - 1] @ band[:m, : m + n - 1].T
    return out


def _check(reference: Real, decoded: Real) -> None:
    if reference.shape != decoded.shape or reference.ndim not in (2, 3) or reference.size == 0:
        shapes = f"{reference.shape} and {decoded.shape}"
        raise ValueError(f"expected two pictures of one shape [H, W] or [H, W, C], got {shapes}")


def _extend(image: Real) -> Real:
    height, width = image.shape[:2]
    grow = [(0, _EXTENDED_SIDE - side if side < SMALLEST_SIDE else 0) for side in (height, width)]
    return np.pad(image, (*grow, (0, 0)), mode="edge")


def _similarity(x: Real, y: Real, window: Float, c1: float, c2: float, *, luminance: bool) -> float:
    """Mean of the contrast-structure map of two planes, times the luminance map where asked (the coarsest
    scale).
    """
    n = window.size
    high, wide = x.shape[0] - n + 1, x.shape[1] - n + 1
    total = 0.0
    for top in range(0, high, _STRIP):  # strips stay in the cache and bound the memory
        rows = slice(top, min(top + _STRIP, high) + n - 1)
        p, q = x[rows].astype(np.float64), y[rows].astype(np.float64)
        # The variances are only ever needed as a sum, so four filtered maps do, not five.
        mean_x, mean_y, squares, product = filter_valid(np.stack((p, q, p * p + q * q, p * q)), window)
        cross = 2.0 * mean_x * mean_y
        power = mean_x * mean_x + mean_y * mean_y
        similarity = (2.0 * product - cross + c2) / (squares - power + c2)
        if luminance:
            similarity *= (cross + c1) / (power + c1)
        total += float(similarity.sum())
    return float(total / (high * wide))


def _halve(plane: Real) -> Real:
    """Mean of 2x2 pixels. An odd side gets a row or column of zeros before the first, as pytorch-msssim
    pools.
    """
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = np.pad(plane, ((height % 2, 0), (width % 2, 0)))
    # Four halvings of 8- or 10-bit samples need at most 18 bits, so float32 holds every mean exactly.
    total: Real = plane[0::2, 0::2].astype(np.float32)
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        total += plane[dy::2, dx::2]
    total *= np.float32(0.25)
    return total
