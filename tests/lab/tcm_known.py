"""A TCM with weights from a formula, and what the authors' own code computes with them (tcm_known.json)."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def noise(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers in -1 .. 1 that depend on a name and nothing else (splitmix64), float32."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x += np.uint64(zlib.crc32(name.encode())) << np.uint64(32)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return torch.from_numpy((x >> np.uint64(40)).astype(np.float32) / 2**23 - 1).reshape(shape)


@torch.no_grad()
def fill(model: nn.Module) -> None:
    """Give every parameter values that depend on its name alone, and that make all parts matter."""
    for name, p in model.named_parameters():
        v = noise(name, tuple(p.shape))
        if "gdn" in name:
            p += 0.005 * v.abs()
        elif name.startswith("prior"):
            p += 0.2 * v
            if "biases" in name:  # random in a new prior
                p.copy_(0.3 * v)
        elif name.endswith("relative"):
            p.copy_(0.5 * v)
        elif ".norm" in name:
            p.copy_(0.1 * v + name.endswith("weight"))
        elif p.ndim == 1:
            p.copy_(0.1 * v + 1.5 * (name.startswith("scale.") and ".4." in name))
        else:
            last = name.startswith("mean.") and ".4." in name
            loud = 10 if name.startswith(("g_a.9.", "h_a.3.")) else 2 if last else 1
            p.copy_(v / p[0].numel() ** 0.5 * loud)


def pattern(height: int, width: int) -> Tensor:
    """A picture ``[1, 3, H, W]`` in 0..1: waves and noise from the same formula."""
    i, j = torch.arange(height)[:, None] / 20, torch.arange(width)[None] / 15
    waves = torch.stack([torch.sin(i + c) * torch.cos(j - i * c / 3) for c in range(3)])
    return (0.5 + 0.3 * waves + 0.2 * noise("picture", (3, height, width)))[None].clamp(0, 1)


def summary(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Mean, spread and 24 single values of each tensor."""
    result: dict[str, Any] = {}
    for name, t in tensors.items():
        flat = t.detach().double().flatten()
        picked = flat[torch.arange(24) * 997 % len(flat)]
        spread = float(flat.std()) if len(flat) > 1 else 0.0
        values = [round(v, 7) for v in picked.tolist()]
        result[name] = {"mean": float(flat.mean()), "std": spread, "picked": values}
    return result
