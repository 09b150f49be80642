"""SSIMULACRA2 with torch: differentiable, for training. What it is: `calotype.ssimulacra2`."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab.layers.integer import exact_arithmetic
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

SMALLEST_NORM = 1e-7
"""4-norms count from here on: the slope of a norm at 0 is not defined."""
SMALLEST_DISTORTION = 1e-4
"""Below it (scores above 99.97) the score is a straight line to 100, for ``d^POWER`` has no slope at 0."""


def ssimulacra2(x: Tensor, y: Tensor) -> Tensor:
    """Score per picture, ``[B]``: 100 for equal ones, lower is worse; ``x`` the originals, ``y`` the decoded,
    ``[B, 3, H, W]``, sRGB in 0..1. What is outside is clipped, as a display does, and has no slope there.

    Slopes are finite everywhere: 0 at equal pictures.

    Raises:
        ValueError: for pictures with a side below 113, which have fewer than five scales.
    """
    if x.shape != y.shape or x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < SMALLEST_SIDE:
        raise ValueError(
            f"SSIMULACRA2 needs RGB pictures of one size and at least {SMALLEST_SIDE} pixels both ways, "
            f"got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    kind = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)  # never half precision
    pair = [_linear(picture.to(kind).contiguous()) for picture in (x, y)]
    total = torch.zeros(len(x), dtype=kind, device=x.device)
    for scale, weights in enumerate(SCALES):
        if scale:
            pair = [F.avg_pool2d(picture, 2, ceil_mode=True) for picture in pair]
        # Channels that need the structure map come first: the edge maps need fewer blurred planes.
        channels = sorted(weights, key=lambda channel: not any(weights[channel][:2]))
        structured = sum(any(weights[channel][:2]) for channel in channels)
        p, q = (_xyb(picture, channels) for picture in pair)
        total = total + _weighted(p, q, [weights[channel] for channel in channels], structured)
    total = total * GAIN
    distortion = sum(factor * total**power for power, factor in enumerate(DISTORTION))
    assert isinstance(distortion, Tensor)
    line = distortion * SMALLEST_DISTORTION ** (POWER - 1)
    curve = distortion.clamp_min(SMALLEST_DISTORTION) ** POWER
    return 100 - 10 * torch.where(distortion < SMALLEST_DISTORTION, line, curve)


def _linear(codes: Tensor) -> Tensor:
    codes = codes.clamp(0, 1)
    curve = _power((codes.clamp_min(0.04045) + 0.055) / 1.055, 2.4)
    return torch.where(codes <= 0.04045, codes / 12.92, curve)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Of numbers above 0; on a processor this way takes half the time of ``base**exponent``."""
    return (base.log() * exponent).exp()


def _xyb(linear: Tensor, channels: list[int]) -> Tensor:
    """Those of X, Y, B that are asked for, made positive: ``[B, 3, h, w]`` to ``[B, channels, h, w]``."""
    r, g, b = linear.unbind(1)
    count = 3 if B in channels else 2
    cones = [_power(k[0] * r + k[1] * g + k[2] * b + BIAS, 1 / 3) for k in ABSORBANCE[:count]]
    root = BIAS ** (1 / 3)
    y = 0.5 * (cones[0] + cones[1]) - root
    found = {Y: y + OFFSETS[Y]}
    if X in channels:
        found[X] = (cones[0] - cones[1]) * (0.5 * X_GAIN) + OFFSETS[X]
    if B in channels:
        found[B] = cones[2] - root - y + OFFSETS[B]
    return torch.stack([found[channel] for channel in channels], 1)


def _blur(planes: Tensor) -> Tensor:
    """Gaussian over each plane of ``[B, n, h, w]``: 0 beyond left and right, mirrored beyond top and bottom.

    All planes stand as channels of one picture: that way a convolution by groups is fastest on processors.
    """
    flat = planes.reshape(1, -1, *planes.shape[2:])
    n = flat.shape[1]
    # Made where it is used: a copy from the host would stop the capture of a step on a GPU.
    taps = torch.arange(-RADIUS, RADIUS + 1, dtype=planes.dtype, device=planes.device)
    taps = (taps.square() / (-2 * SIGMA * SIGMA)).exp()
    taps = taps / taps.sum()
    flat = torch.cat((flat[:, :, :RADIUS].flip(2), flat, flat[:, :, -RADIUS:].flip(2)), 2)
    with exact_arithmetic(planes.is_cuda):
        flat = F.conv2d(flat, taps.expand(n, 1, 1, -1), padding=(0, RADIUS), groups=n)
        flat = F.conv2d(flat, taps.view(-1, 1).expand(n, 1, -1, 1), groups=n)
    return flat.view(planes.shape)


def _weighted(p: Tensor, q: Tensor, weights: list[Weights], structured: int) -> Tensor:
    """Weighted norms of one scale, ``[B]``; ``structured`` is how many channels need the structure map."""
    error = p - q
    s, e = p[:, :structured], error[:, :structured]
    blurred = _blur(torch.cat((p, error, e * e, s * s + (s - e).square()), 1))
    n = p.shape[1]
    mean, mean_error, squares, powers = blurred.split((n, n, structured, structured), 1)
    total = p.new_zeros(len(p))
    if structured:
        m1, me = mean[:, :structured], mean_error[:, :structured]
        # var1 + var2 - 2 cov is the variance of the difference, which float32 resolves when it is small.
        square = me.square()
        spread = (squares - square) / (powers - m1.square() - (m1 - me).square() + C)
        structure = 1 - (1 - square) * (1 - spread)
        for k, w in enumerate(weights[:structured]):
            total = total + _norms(structure[:, k], w.structure, w.structure4)
    for k, w in enumerate(weights):
        if not any(w[2:]):
            continue
        deviation = p[:, k] - mean[:, k]
        ratio = (1 + (deviation - error[:, k] + mean_error[:, k]).abs()) / (1 + deviation.abs()) - 1
        total = total + _norms(ratio, w.artefacts, w.artefacts4) + _norms(-ratio, w.lost, w.lost4)
    return total


def _norms(values: Tensor, weight: float, weight4: float) -> Tensor | float:
    """Weighted mean and 4-norm of what is above 0, per picture; ``[B, h, w]`` to ``[B]``."""
    if not weight and not weight4:
        return 0.0
    above = values.relu().flatten(1)  # unlike clamp_min, without a slope at 0
    total: Tensor | float = 0.0
    if weight:
        total = weight * above.mean(1)
    if weight4:
        power = above.square().square().mean(1).clamp_min(SMALLEST_NORM**4)
        total = total + weight4 * (power**0.25 - SMALLEST_NORM)
    return total
