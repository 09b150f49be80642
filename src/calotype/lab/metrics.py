"""Distortions on torch tensors, for losses and quick evaluations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def mse255(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error per picture on a 0..255 scale; ``[B, 3, H, W]`` in 0..1 to ``[B]``."""
    return (x - y).square().flatten(1).mean(1) * 255.0**2


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per picture in dB, ``[B]``; inf for equal pictures."""
    return 10 * torch.log10(255.0**2 / mse255(x, y))


def _window(channels: int, like: Tensor, size: int = 11, sigma: float = 1.5) -> Tensor:
    t = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    g = torch.exp(-t.square() / (2 * sigma**2))
    return (g / g.sum()).expand(channels, 1, 1, size)


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Multi-scale structural similarity per picture (Wang et al. 2003): five scales, 11x11 Gaussian of 1.5
    pixels.

    ``[B, C, H, W]`` in 0..1, both sides above 160; returns ``[B]``, the mean over channels.

    Raises:
        ValueError: for smaller pictures.
    """
    if min(x.shape[2:]) <= 160:
        raise ValueError(f"MS-SSIM needs more than 160 pixels both ways, got {tuple(x.shape[2:])}")
    c = x.shape[1]
    window = _window(c, x)

    def blur(t: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(t, window, groups=c), window.transpose(2, 3), groups=c)

    c1, c2, factors = 0.01**2, 0.03**2, []
    for scale in range(5):
        mx, my = blur(x), blur(y)
        vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
        contrast = (2 * vxy + c2) / (vx + vy + c2)
        if scale == 4:
            contrast = contrast * (2 * mx * my + c1) / (mx * mx + my * my + c1)
        factors.append(contrast.flatten(2).mean(2).clamp_min(1e-6))  # a power of 0 has no slope
        if scale < 4:
            pad = [s % 2 for s in x.shape[2:]]
            x, y = F.avg_pool2d(x, 2, padding=pad), F.avg_pool2d(y, 2, padding=pad)
    similarity = torch.ones_like(factors[0])
    for factor, weight in zip(
        factors, _WEIGHTS, strict=True
    ):  # numbers: a tensor of them would be copied over
        similarity = similarity * factor**weight
    return similarity.mean(1)
