"""What a decoder makes of held-out photographs, in figures and in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from calotype.lab.adversarial import feature_stand_in, sharpness
from calotype.lab.codec import ModelCodec
from calotype.lab.metrics import ms_ssim, psnr

SHOWN, SIDE = 3, 128
"""Photographs in the picture, and how much of the middle of each."""
PERIOD, GAP = 16, 1 / 64
"""Pixels after which what four transposed convolutions print repeats, and how far from its frequencies, in
cycles per pixel, a frequency must be to count as none of it."""


def off_grid(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Of what ``y`` has where no grid is: its strength, and how much of the original's is in it; 1 and 1 for
    ``y = x``.

    Pictures ``[B, C, S, S]``, S a multiple of `PERIOD`, to ``[B]`` each.  Frequencies count that lie at least
    `GAP` from every multiple of 1 / `PERIOD`, across and down (a quarter of all), each as much as it adds to
    differences of neighbours.  What repeats after `PERIOD` pixels adds exactly nothing to either, and next to
    nothing where its strength changes slowly over the picture.  The second is the slope of ``y`` on ``x``: it
    falls where detail is lost, and what is invented leaves it as it is.
    """
    f = torch.fft.fftfreq(x.shape[-1], dtype=torch.float64)
    between = (f * PERIOD - (f * PERIOD).round()).abs() >= GAP * PERIOD
    steep = (2 * torch.sin(torch.pi * f)).square()
    weight = (between[:, None] & between) * (steep[:, None] + steep)
    a, b = torch.fft.fft2(x.double()), torch.fft.fft2(y.double())
    own, other = ((t.abs().square() * weight).sum((1, 2, 3)) for t in (a, b))
    both = ((a.conj() * b).real * weight).sum((1, 2, 3))
    return (other / own).sqrt(), both / own


@torch.no_grad()
def measured(model: Any, crops: Tensor) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    """Figures of each crop (uint8 ``[n, 3, S, S]``), and what files of them decode to."""
    codec = ModelCodec(model)
    keys = ("bytes", "psnr", "sharpness", "off_grid", "original", "features", "ms_ssim")
    rows: dict[str, list[float]] = {key: [] for key in keys}
    shown = []
    for crop in crops.split(1):
        data = codec.encode(crop[0].permute(1, 2, 0).numpy())
        shown.append(codec.decode(data))
        x = crop / 255
        y = torch.from_numpy(shown[-1].copy()).permute(2, 0, 1)[None] / 255
        rows["bytes"].append(len(data))
        rows["psnr"].append(round(float(psnr(x, y)), 3))
        rows["sharpness"].append(round(float(sharpness(y) / sharpness(x)), 4))
        strength, kept = off_grid(x, y)
        rows["off_grid"].append(round(float(strength), 4))
        rows["original"].append(round(float(kept), 4))
        rows["features"].append(round(float(feature_stand_in(model.g_a, x, y)), 4))
        rows["ms_ssim"].append(round(float(ms_ssim(x, y)), 4))
    return rows, shown


def picture(crops: Tensor, columns: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """The middle of the first photographs: original, and what each decoder made."""
    originals = [crop.permute(1, 2, 0).numpy() for crop in crops]
    edge = (originals[0].shape[0] - SIDE) // 2
    part = slice(edge, edge + SIDE)
    rows = [
        np.concatenate([images[i][part, part] for images in (originals, *columns)], 1)
        for i in range(min(SHOWN, len(originals)))
    ]
    return Image.fromarray(np.concatenate(rows, 0))
