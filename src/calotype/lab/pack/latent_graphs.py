"""The hyper-encoder of a pack as an ONNX graph, and the linear map that previews are made with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype_latents import CELL, Z_UNIT, HyperAnalysis
from calotype.lab.pack.int8 import Observed, best_range, bias, samples, weight
from calotype.lab.pack.qdq import Array, Conv, Dense, Quantise, blocks


class HyperMaps(nn.Module):
    """Latents ``[1, 2a, 2b, M]`` to integer hyper-latents ``[1, a, b, K]``."""

    def __init__(self, net: HyperAnalysis, z_limit: int, seen: Observed | None) -> None:
        super().__init__()
        self.z_limit = z_limit
        w, b = weight(net.reduce)[:, :, 0], bias(net.reduce)
        m = w.shape[1] // 2
        self.hidden = len(w)
        bands, no = weight(net.bands)[:, :, 0], np.zeros(len(b))
        self.energy = Dense(np.concatenate((w[:, :m], bands)), np.concatenate((b, bias(net.bands))))
        self.plain = Dense(w[:, m:], no)
        w, out = weight(net.conv), _blocked(weight(net.out)[:, :, 0], CELL)
        self.conv: nn.Module = Conv(w, bias(net.conv), None)
        if seen is not None:
            with torch.no_grad():
                x, t = samples(seen.hyper), samples(F.relu(net.conv(seen.hyper)))
            parts = out.reshape(-1, CELL * CELL, len(b)).transpose(0, 2, 1)
            (steps, _), (after, _) = best_range(x, w), best_range(t, parts)
            self.conv = nn.Sequential(
                Quantise(steps), Conv(w, bias(net.conv), steps, x), nn.ReLU(), Quantise(after)
            )
        self.out = Dense(out, bias(net.out))

    def forward(self, y: Tensor, gain: Tensor, z_gain: Tensor) -> Tensor:
        both = self.energy(torch.log((y * gain).abs() + 0.2))
        t = F.relu(self.conv(F.relu(both[..., : self.hidden] + self.plain(y))))
        bands = blocks(both[..., self.hidden :], CELL)
        bands = bands.reshape(1, bands.shape[1], bands.shape[2], CELL * CELL, -1).mean(3)
        z = (bands + self.out(blocks(t, CELL))) * z_gain
        return torch.floor(z + 0.5).clamp(-self.z_limit, self.z_limit)


class HyperEncoderGraph(nn.Module):
    """Latents to hyper-latents.  ``inside`` is 1 in the tile and 0 in its padding."""

    def __init__(self, net: HyperAnalysis, z_limit: int, seen: Observed | None) -> None:
        super().__init__()
        self.hyper = HyperMaps(net, z_limit, seen)

    def forward(
        self, y: Tensor, inside: Tensor, low_gain: Tensor, high_gain: Tensor, z_mul: Tensor
    ) -> Tensor:
        gain = torch.cat((low_gain[-1], high_gain[-1]))
        z = self.hyper(y.permute(0, 2, 3, 1), gain, 256.0 * Z_UNIT / z_mul)
        z = z * inside.permute(0, 2, 3, 1)[:, ::CELL, ::CELL]
        return z.permute(0, 3, 1, 2)


@torch.no_grad()
def preview_kernel(y_hat: Tensor, x: Tensor) -> Array:
    """The best linear map ``[LOW + 1, 12]`` (the last row is the offset) from low latents ``[N, LOW, h, w]``
    to the 2x2 means of 8x8 pixels, of 3 colours, under each; ``x`` ``[N, 3, 16h, 16w]`` in 0..1.
    """
    small = F.avg_pool2d(x, 8)  # [N, 3, 2h, 2w]
    target = F.pixel_unshuffle(small, 2).unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)
    a = y_hat.permute(0, 2, 3, 1).reshape(-1, y_hat.shape[1]).double()
    a = torch.cat((a, torch.ones(len(a), 1, dtype=torch.float64)), 1)
    b = target.permute(0, 2, 3, 1).reshape(-1, 12).double()
    gram = a.T @ a
    gram.diagonal().add_(1e-6 * gram.diagonal().mean())
    return np.asarray(torch.linalg.solve(gram, a.T @ b).numpy())


def _blocked(weight: Array, side: int) -> Array:
    """Weights ``[out, (c row column)]`` behind a pixel unshuffle, for inputs in the order (row, column,
    c).
    """
    out = len(weight)
    return np.ascontiguousarray(weight.reshape(out, -1, side * side).transpose(0, 2, 1).reshape(out, -1))
