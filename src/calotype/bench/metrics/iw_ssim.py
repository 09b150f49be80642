"""IW-SSIM: multi-scale SSIM whose maps are weighted by how much information each place carries.

Structure is compared on the bands of a Laplacian pyramid. The weight of a place is the mutual information
between original and decoded neighbourhood (3x3 and the parent in the next band) under a Gaussian scale
mixture, after visual noise. 10-bit BT.709 luma on the scale 0 to 255; sides below 256 are extended.

Source: Wang, Li, "Information content weighting for perceptual image quality assessment", IEEE TIP 20(5),
2011.
"""

from __future__ import annotations

import numpy as np

from calotype.bench.metrics._planes import Picture, Plane, at_least, luma709
from calotype.codec.metrics import WEIGHTS, filter_valid, gaussian_window

_C1, _C2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
_NOISE = 0.4
_TINY = 1e-15
_WINDOW = gaussian_window(11, 1.5)
_BLUR = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
_STRIP = 256


def iw_ssim(reference: Picture, decoded: Picture) -> float:
    """IW-SSIM, 0 to 1, higher is better."""
    bands = [_pyramid(at_least(luma709(image) * 255.0, 256)) for image in (reference, decoded)]
    value = 1.0
    for scale, (x, y) in enumerate(zip(*bands)):
        coarsest = scale == len(WEIGHTS) - 1
        similarity = _similarity(x, y, luminance=coarsest)
        # The last band but one has no parent: below it is the low-pass rest, not a band.
        parent = bands[0][scale + 1] if scale < len(WEIGHTS) - 2 else None
        weight = None if coarsest else _information(x, y, parent)[4:-4, 4:-4]
        # No information anywhere (flat bands): every place counts the same.
        if weight is None or not weight.any():
            mean = float(similarity.mean())
        else:
            mean = float((similarity * weight).sum() / weight.sum())
        value *= abs(mean) ** WEIGHTS[scale]
    return value


def _pyramid(plane: Plane) -> list[Plane]:
    """Four bands of differences and the low-pass rest, each half the size of the one before.

    The filters of the release have gain sqrt(2) along each axis, so amplitudes double from band to band.
    """
    bands = []
    for _ in range(len(WEIGHTS) - 1):
        low = 2.0 * _blur(plane)[::2, ::2]
        sparse = np.zeros(plane.shape)
        sparse[::2, ::2] = 2.0 * low
        bands.append(plane - _blur(sparse))
        plane = low
    return [*bands, plane]


def _blur(plane: Plane) -> Plane:
    return filter_valid(np.pad(plane, 2, mode="reflect"), _BLUR)


def _similarity(x: Plane, y: Plane, *, luminance: bool) -> Plane:
    """Contrast-structure map (times luminance), ``[H - 10, W - 10]``."""
    mean_x, mean_y, xx, yy, xy = filter_valid(np.stack((x, y, x * x, y * y, x * y)), _WINDOW)
    var_x = np.maximum(xx - mean_x * mean_x, 0.0)
    var_y = np.maximum(yy - mean_y * mean_y, 0.0)
    similarity: Plane = (2.0 * (xy - mean_x * mean_y) + _C2) / (var_x + var_y + _C2)
    if luminance:
        similarity *= (2.0 * mean_x * mean_y + _C1) / (mean_x * mean_x + mean_y * mean_y + _C1)
    return similarity


def _information(x: Plane, y: Plane, parent: Plane | None) -> Plane:
    """Information content in bits at every interior pixel, ``[H - 2, W - 2]``."""
    high, wide = x.shape[0] - 2, x.shape[1] - 2
    if parent is not None:
        parent = _enlarge(parent)[1 : high + 1, 1 : wide + 1]
    strips = [slice(top, min(top + _STRIP, high)) for top in range(0, high, _STRIP)]  # bound the memory
    covariance = sum(n @ n.T for n in (_neighbours(x, parent, rows) for rows in strips)) / (high * wide)
    powers, axes = np.linalg.eigh(covariance)
    seen = powers > max(powers[-1], 0.0) * 1e-12  # the others carry nothing and cannot be inverted
    powers, axes = powers[seen], axes[:, seen]
    out = np.zeros((high, wide))
    for rows in strips:
        gain, noise = _channel(x[rows.start : rows.stop + 2], y[rows.start : rows.stop + 2])
        n = _neighbours(x, parent, rows)
        field = ((axes.T @ n) ** 2 / powers[:, None]).sum(axis=0).reshape(gain.shape) / len(n)
        signal = (noise + (1.0 + gain * gain) * _NOISE) * field / _NOISE**2
        for power in powers:
            out[rows] += np.log2(1.0 + signal * power + noise / _NOISE)
    return np.where(out < _TINY, 0.0, out)


def _channel(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Distortion in each 3x3 neighbourhood as ``y = gain * x + noise``: gain and variance of the noise."""
    mean_x, mean_y, xx, yy, xy = filter_valid(np.stack((x, y, x * x, y * y, x * y)), np.full(3, 1 / 3))
    var_x = np.maximum(xx - mean_x * mean_x, 0.0)
    var_y = np.maximum(yy - mean_y * mean_y, 0.0)
    cov = xy - mean_x * mean_y
    gain = cov / (var_x + _TINY)
    noise = var_y - gain * cov
    flat_x, flat_y = var_x < _TINY, var_y < _TINY
    noise = np.where(flat_y, 0.0, np.where(flat_x, var_y, noise))
    return np.where(flat_x | flat_y, 0.0, gain), noise


def _neighbours(x: Plane, parent: Plane | None, rows: slice) -> Plane:
    """Every interior pixel of `rows` as a column: its 3x3 neighbourhood and, where there is one, its
    parent.
    """
    wide = x.shape[1] - 2
    parts = [x[rows.start + i : rows.stop + i, j : j + wide] for i in range(3) for j in range(3)]
    if parent is not None:
        parts.append(parent[rows])
    return np.stack([p.reshape(-1) for p in parts])


def _enlarge(plane: Plane) -> Plane:
    """Twice the size, bilinear on the grid of the authors' release (every other sample of a 4n-3
    enlargement).
    """
    for axis in (0, 1):
        n = plane.shape[axis]
        place = np.clip((2 * np.arange(2 * n) - 0.5) * n / (4 * n - 3) - 0.5, 0.0, n - 1.0)
        left = np.minimum(place.astype(np.intp), n - 2)
        share = (place - left).reshape((-1, 1) if axis == 0 else (1, -1))
        plane = plane.take(left, axis) * (1.0 - share) + plane.take(left + 1, axis) * share
    return plane
