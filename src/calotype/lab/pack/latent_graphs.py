"""The graphs of a pack on latents: hyper-encoder, latent encoder and decoder, channels last inside.

With what `observe` saw, their convolutions are in 8-bit integers.  Latent encoder and decoder have the same
mean
network, so what its rounding costs is prediction, and the residuals carry that.  It need not be exact: a mean
that differs in its last bit on another machine moves a latent by as little, and no probability depends on it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import PHASES, Z_UNIT, HyperAnalysis, Mean, Scales
from calotype.lab.pack.int8 import Observed, best_range, bias, equalise, samples, weight
from calotype.lab.pack.qdq import Array, Conv, Dense, Product, Quantise, blocks, unblocks, unshuffled


class HyperEncoderGraph(nn.Module):
    """Latents ``[1, M, 4a, 4b]`` to integer hyper-latents ``[1, 64, a, b]``."""

    def __init__(self, model: Calotype, z_limit: int, seen: Observed | None) -> None:
        super().__init__()
        net: HyperAnalysis = model.hyper
        m, self.z_limit = model.config.latents, z_limit
        w, b = weight(net.reduce)[:, :, 0], bias(net.reduce)
        self.hidden = len(w)
        bands, no = weight(net.bands)[:, :, 0], np.zeros(len(b))
        self.energy = Dense(np.concatenate((w[:, :m], bands)), np.concatenate((b, bias(net.bands))))
        self.plain = Dense(w[:, m:], no)
        w, out = weight(net.conv), _blocked(weight(net.out)[:, :, 0], 4)
        self.conv: nn.Module = Conv(w, bias(net.conv), None)
        if seen is not None:
            with torch.no_grad():
                x, t = samples(seen.hyper), samples(F.relu(net.conv(seen.hyper)))
            (steps, _), (after, _) = (
                best_range(x, w),
                best_range(t, out.reshape(-1, 16, len(b)).transpose(0, 2, 1)),
            )
            self.conv = nn.Sequential(
                Quantise(steps), Conv(w, bias(net.conv), steps, x), nn.ReLU(), Quantise(after)
            )
        self.out = Dense(out, bias(net.out))

    def forward(self, y: Tensor, gain: Tensor, z_gain: Tensor) -> Tensor:
        y = y.permute(0, 2, 3, 1)
        both = self.energy(torch.log((y * gain).abs() + 0.2))
        t = F.relu(both[..., : self.hidden] + self.plain(y))
        t = F.relu(self.conv(t))
        bands = blocks(both[..., self.hidden :], 4)  # (row column band); z has (band row column)
        a, b = bands.shape[1], bands.shape[2]
        bands = bands.reshape(1, a, b, 16, -1).permute(0, 4, 3, 1, 2).reshape(1, -1, a, b)
        z = (bands + self.out(blocks(t, 4)).permute(0, 3, 1, 2)) * z_gain[None, :, None, None]
        return torch.round(z).clamp(-self.z_limit, self.z_limit)


class MeanMaps(nn.Module):
    """The mean network over channels-last maps."""

    def __init__(self, net: Mean, seen: Observed | None) -> None:
        super().__init__()
        n = net.REDUCED
        over = [np.ones(n)] * len(PHASES)
        if seen is not None:
            for k in range(len(PHASES)):
                part = slice(k * n, (k + 1) * n)
                readers = [
                    (samples(seen.contexts[p])[:, part], weight(net.conv[p])[:, part]) for p in range(k, 4)
                ]
                over[k] = equalise(readers)[0]
        self.wide = Conv(weight(net.wide), bias(net.wide), None)
        w, b = unshuffled(net.up, 2)
        self.up = Dense(w / np.tile(over[0], 4)[:, None], b / np.tile(over[0], 4))
        self.reduce = nn.ModuleList(
            Dense(weight(layer)[:, :, 0] / over[p + 1][:, None], bias(layer) / over[p + 1])
            for p, layer in enumerate(net.reduce)
        )
        self.phases = nn.ModuleList(
            _Phase(net.conv[p], net.out[p], np.concatenate(over[: p + 1]), p, seen)
            for p in range(len(PHASES))
        )

    def walk(self, z: Tensor, code: Callable[[int, Tensor], Tensor]) -> None:
        """As `Mean.walk`: the four phases in coding order, ``code(p, mean) -> y_hat``; ``z`` ``[1, 64, a,
        b]``.
        """
        t = self.up(F.relu(self.wide(z.permute(0, 2, 3, 1))))
        context = [unblocks(t, 2)]
        for p, phase in enumerate(self.phases):
            y_hat = code(p, phase(torch.cat(context, 3)))
            if p < len(self.reduce):
                context.append(self.reduce[p](y_hat))


class _Phase(nn.Module):
    """Contexts, divided by ``over``, to the mean of one phase."""

    def __init__(self, conv: nn.Module, out: nn.Module, over: Array, p: int, seen: Observed | None) -> None:
        super().__init__()
        w, w_out = weight(conv) * over[:, None], weight(out)
        if seen is None:
            self.entry = self.middle = Quantise(None)
            self.conv = Conv(w, bias(conv), None)
            self.out: nn.Module = Dense(w_out[:, :, 0], bias(out))
            return
        x, t = samples(seen.contexts[p]) / over, samples(seen.hidden[p])
        steps, _ = best_range(x, w)
        middle, _ = best_range(t, w_out, symmetric=True)
        self.entry, self.middle = Quantise(steps), Quantise(middle)
        self.conv = Conv(w, bias(conv), steps, x)
        product = Product(w_out[:, :, 0], t)
        self.out = nn.Sequential(product, _Shift(bias(out) + product.lost))

    def forward(self, context: Tensor) -> Tensor:
        t = self.middle(self.conv(self.entry(context)))
        mean: Tensor = self.out(self.middle(torch.cat((t, F.relu(t)), 3)))
        return mean


class _Shift(nn.Module):
    def __init__(self, bias: Array) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.from_numpy(bias).float())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class LatentEncoderGraph(nn.Module):
    """Latents and hyper-latents to residuals.  What ``keep`` makes 0 counts as 0, as it does for a
    decoder.
    """

    def __init__(self, mean: MeanMaps) -> None:
        super().__init__()
        self.mean = mean

    def forward(
        self, y: Tensor, z: Tensor, keep: Tensor, gain: Tensor, inv_gain: Tensor, z_mul: Tensor
    ) -> Tensor:
        parts, factors = _split(y), _split(keep, gain)
        rounded: list[Tensor] = []

        def code(p: int, mean: Tensor) -> Tensor:
            rounded.append(torch.round((parts[p] - mean) * factors[p]))
            return mean + rounded[p] * inv_gain

        self.mean.walk(_side(z, z_mul), code)
        return _join(rounded)


class LatentDecoderGraph(nn.Module):
    """Hyper-latents and residuals to latents."""

    def __init__(self, mean: MeanMaps) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, z: Tensor, z_mul: Tensor, r: Tensor, inv_gain: Tensor) -> Tensor:
        parts, maps = _split(r, inv_gain), list[Tensor]()

        def code(p: int, mean: Tensor) -> Tensor:
            maps.append(mean + parts[p])
            return maps[p]

        self.mean.walk(_side(z, z_mul), code)
        return _join(maps)


def _side(z: Tensor, z_mul: Tensor) -> Tensor:
    return Scales.dequantise(z, z_mul[None, :, None, None]) / Z_UNIT


def _split(x: Tensor, factor: Tensor | None = None) -> list[Tensor]:
    """``[1, C, 2a, 2b]``, times a factor per channel, to four maps ``[1, a, b, C]`` in coding order."""
    x = x.permute(0, 2, 3, 1)
    x = x if factor is None else x * factor
    return [x[:, i::2, j::2] for i, j in PHASES]


def _join(maps: list[Tensor]) -> Tensor:
    """Inverse of `_split`."""
    rows = [torch.cat([maps[PHASES.index((i, j))] for j in (0, 1)], 3) for i in (0, 1)]
    _, h, w, c = rows[0].shape
    return torch.stack(rows, 2).reshape(1, 2 * h, 2 * w, c // 2).permute(0, 3, 1, 2)


def _blocked(weight: Array, side: int) -> Array:
    """Weights ``[out, (c row column)]`` behind a pixel unshuffle, for inputs in the order (row, column,
    c).
    """
    out = len(weight)
    return np.ascontiguousarray(weight.reshape(out, -1, side * side).transpose(0, 2, 1).reshape(out, -1))
