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


@torch.no_grad()
def measured(model: Any, crops: Tensor) -> tuple[dict[str, list[float]], list[np.ndarray]]:
    """Figures of each crop (uint8 ``[n, 3, S, S]``), and what files of them decode to."""
    codec = ModelCodec(model)
    rows: dict[str, list[float]] = {"bytes": [], "psnr": [], "sharpness": [], "features": [], "ms_ssim": []}
    shown = []
    for crop in crops.split(1):
        data = codec.encode(crop[0].permute(1, 2, 0).numpy())
        shown.append(codec.decode(data))
        x = crop / 255
        y = torch.from_numpy(shown[-1].copy()).permute(2, 0, 1)[None] / 255
        rows["bytes"].append(len(data))
        rows["psnr"].append(round(float(psnr(x, y)), 3))
        rows["sharpness"].append(round(float(sharpness(y) / sharpness(x)), 4))
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
