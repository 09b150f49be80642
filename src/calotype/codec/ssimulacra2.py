"""SSIMULACRA2 with NumPy: how close two pictures look. What it is: `calotype.ssimulacra2`.

It serves ``--target-ssimulacra2``, ``calotype compare`` and the benchmark. Work goes by strips of rows, so
that the memory is that of half the picture in linear light.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec.metrics import filter_valid, gaussian_window
from calotype.ssimulacra2 import (
    ABSORBANCE,
    BIAS,
    DISTORTION,
    GAIN,
    OFFSETS,
    POWER,
    RADIUS,
    SCALES,
    SIGMA,
    SMALLEST_SIDE,
    X_GAIN,
    B,
    C,
    Weights,
    X,
    Y,
)

Pixels = NDArray[np.uint8]
Float = NDArray[np.float32]

_STRIP = 128
_WINDOW = gaussian_window(2 * RADIUS + 1, SIGMA).astype(np.float32)
_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def ssimulacra2(reference: Pixels, decoded: Pixels) -> float:
    """The score of two 8-bit pictures ``[H, W, 3]`` (sRGB) or ``[H, W]`` (grey): 100 for equal ones, lower is
    worse, without a lower limit.

    Where a side is shorter than 113 pixels, both pictures are mirrored to that, so that each row or column
    counts about as much; the definition does not reach such pictures. The reference program takes them with
    fewer scales, and then shifts all of its weights to other terms: below 225 pixels its scores are not
    comparable.

    Raises `ValueError` for pictures that are not 8-bit or not of one shape.
    """
    for image in (reference, decoded):
        if (
            image.dtype != np.uint8
            or image.size == 0
            or image.ndim not in (2, 3)
            or image.shape[2:] not in ((), (3,))
        ):
            raise ValueError(f"SSIMULACRA2 takes 8-bit RGB or grey, got {image.dtype} {image.shape}")
    if reference.shape != decoded.shape:
        raise ValueError(f"SSIMULACRA2 takes pictures of one shape, got {reference.shape}, {decoded.shape}")
    codes = [_extended(image) for image in (reference, decoded)]
    total = 0.0
    pair: list[Float] | None = None
    for weights in SCALES:
        height, width = (codes[0] if pair is None else pair[0]).shape[-2:]
        sums = {channel: np.zeros(6) for channel in weights}
        halves: list[Float] = [np.empty((3, (height + 1) // 2, (width + 1) // 2), np.float32) for _ in codes]
        for top in range(0, height, _STRIP):
            bottom = min(top + _STRIP, height)
            # Beyond top and bottom the picture is mirrored, with its border doubled.
            rows = np.arange(top - RADIUS, bottom + RADIUS)
            rows = np.where(rows < 0, -1 - rows, np.where(rows >= height, 2 * height - 1 - rows, rows))
            strips = [_LINEAR[c[:, rows]] for c in codes] if pair is None else [p[:, rows] for p in pair]
            for half, strip in zip(halves, strips):
                half[:, top // 2 : (bottom + 1) // 2] = _halved(strip[:, RADIUS:-RADIUS])
            first, second = (_xyb(strip, list(weights)) for strip in strips)
            for channel, terms in weights.items():
                sums[channel] += _sums(first[channel], second[channel], terms)
        for channel, terms in weights.items():
            norms = sums[channel] / (height * width)
            norms[1::2] **= 0.25
            total += float(norms @ terms)
        pair = halves
    return score(total)


def score(total: float) -> float:
    """What the weighted sum of the norms is as a score."""
    total *= GAIN
    distortion = sum(factor * total**power for power, factor in enumerate(DISTORTION))
    return float(100.0 - 10.0 * max(distortion, 0.0) ** POWER)


def _extended(image: Pixels) -> Pixels:
    """``[3, H, W]``, no side below `SMALLEST_SIDE`."""
    grow = [(0, max(0, SMALLEST_SIDE - side)) for side in image.shape[:2]]
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if any(map(any, grow)):
        image = np.pad(image, (*grow, (0, 0)), mode="symmetric")
    return np.moveaxis(image, 2, 0)


def _halved(linear: Float) -> Float:
    """Means of 2x2; at an odd side's end, of those that are there."""
    odd = [(0, 0), *((0, side % 2) for side in linear.shape[1:])]
    p = np.pad(linear, odd, mode="edge") if any(map(any, odd)) else linear
    return np.asarray(
        (p[:, ::2, ::2] + p[:, ::2, 1::2] + p[:, 1::2, ::2] + p[:, 1::2, 1::2]) * np.float32(0.25)
    )


def _xyb(linear: Float, channels: list[int]) -> dict[int, Float]:
    """Those of the planes X, Y, B that are asked for, of linear light ``[3, h, w]``, made positive."""
    cones = []
    for k in range(3 if B in channels else 2):
        r, g, b = (np.float32(a) for a in ABSORBANCE[k])
        cones.append(np.cbrt(r * linear[0] + g * linear[1] + b * linear[2] + np.float32(BIAS)))
    root = np.float32(BIAS ** (1 / 3))
    y = np.float32(0.5) * (cones[0] + cones[1]) - root
    found = {Y: y + np.float32(OFFSETS[Y])}
    if X in channels:
        found[X] = (cones[0] - cones[1]) * np.float32(0.5 * X_GAIN) + np.float32(OFFSETS[X])
    if B in channels:
        found[B] = cones[2] - root - y + np.float32(OFFSETS[B])
    return found


def _sums(p: Float, q: Float, weights: Weights) -> NDArray[np.float64]:
    """Sums over a strip ``[h + 10, w]`` of the three maps and of their fourth powers, in the order of
    `Weights`; 0 for those that have no weight.
    """
    edges = any(weights[2:])
    error = p - q
    maps = [p, error]
    if any(weights[:2]):
        maps += [error * error, p * p + q * q]
    blurred = filter_valid(np.pad(np.stack(maps), ((0, 0), (0, 0), (RADIUS, RADIUS))), _WINDOW)
    mean, mean_error = blurred[:2]
    found = np.zeros(6)
    if any(weights[:2]):
        # var1 + var2 - 2 cov is the variance of the difference, which float32 resolves when it is small.
        spread = blurred[2] - mean_error * mean_error
        other = mean - mean_error
        scale = blurred[3] - mean * mean - other * other + np.float32(C)
        square = mean_error * mean_error
        found[:2] = _moments(1 - (1 - square) * (1 - spread / scale))
    if edges:
        inner = slice(RADIUS, -RADIUS)
        strong = 1 + np.abs(p[inner] - mean)
        ratio = (1 + np.abs(q[inner] - mean + mean_error)) / strong - 1
        if any(weights[2:4]):
            found[2:4] = _moments(ratio)
        if any(weights[4:]):
            found[4:] = _moments(-ratio)
    return found


def _moments(values: Float) -> tuple[float, float]:
    """Sums of what is above 0 and of its fourth power."""
    above = np.maximum(values, 0)
    square = above * above
    return float(above.sum(dtype=np.float64)), float(np.square(square).sum(dtype=np.float64))
