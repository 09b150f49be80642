"""The networks on latents as ONNX graphs: `calotype.lab.models.calotype_coding` as coders run it.

Maps are channels last.  Layers of the mean network are in integers when given what `observe` saw; the layers
that decide classes are integers in float32, exact as in training (the decoder's are native code).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.integer import IntConv
from calotype.lab.models.calotype_coding import Latents
from calotype.lab.models.calotype_latents import (
    CELL,
    HIDDEN,
    OUT,
    RELU,
    SCALES,
    Z_PEAK,
    Z_UNIT,
    HyperAnalysis,
    Mean,
    Scales,
    cells,
    magnitude,
)
from calotype.lab.models.calotype_levels import steps_of
from calotype.lab.models.calotype_walk import LOW, LOW_OCTAVES, PHASES, Stage, walk
from calotype.lab.pack.int8 import Observed, best_range, bias, equalise, samples, weight
from calotype.lab.pack.qdq import Array, Conv, Dense, Product, Quantise, blocks, unblocks


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


class MeanMaps(nn.Module):
    """The mean network."""

    def __init__(self, net: Mean, seen: Observed | None) -> None:
        super().__init__()
        n = net.REDUCED
        over = [np.ones(n)] * len(PHASES) + [np.ones(LOW)]
        if seen is not None:
            for k in range(len(PHASES)):
                part = slice(k * n, (k + 1) * n)
                readers = [
                    (samples(seen.contexts[p])[:, part], weight(net.conv[p])[:, part])
                    for p in range(k, len(PHASES))
                ]
                over[k] = equalise(readers)[0]
            readers = [
                (
                    samples(seen.contexts[p])[:, start : start + LOW],
                    weight(net.conv[p])[:, start : start + LOW],
                )
                for p in range(len(PHASES))
                for start in range(n * (1 + p), n * (1 + p) + LOW * (len(PHASES) - p), LOW)
            ]
            over[-1] = equalise(readers)[0]
        self.base = nn.Parameter(net.base.detach().clone())
        self.low = nn.ModuleList(Conv(weight(layer), bias(layer), None) for layer in net.low)
        self.low_far = nn.ModuleList(Conv(weight(layer), bias(layer), None) for layer in net.low_far)
        self.low_out = nn.ModuleList(Dense(weight(layer)[:, :, 0], bias(layer)) for layer in net.low_out)
        self.wide = Conv(weight(net.wide), bias(net.wide), None)
        self.up = Dense(weight(net.up)[:, :, 0] / over[0][:, None], bias(net.up) / over[0])
        self.reduce = nn.ModuleList(
            Dense(weight(layer)[:, :, 0] / over[p + 1][:, None], bias(layer) / over[p + 1])
            for p, layer in enumerate(net.reduce)
        )
        self.phases = nn.ModuleList(
            _Phase(
                net.conv[p], net.out[p],
                np.concatenate(over[: p + 1] + [over[-1]] * (len(PHASES) - p)), p, seen,
            )
            for p in range(len(PHASES))
        )  # fmt: skip
        self.over = nn.Parameter(torch.from_numpy(1 / over[-1]).float())

    def low_stage(self, stage: Stage, known: list[Tensor], like: Tensor) -> Tensor:
        """As `Mean.low_stage`."""
        if not known:
            return self.base.expand_as(like)
        s = stage.number - 1
        t = self.low[s](torch.cat(known, 3))
        near = F.relu(t)
        mean: Tensor = self.low_out[s](torch.cat((t, near, F.relu(self.low_far[s](near))), 3))
        return mean

    def features(self, d: Tensor) -> Tensor:
        """As `Mean.features`."""
        out: Tensor = self.up(F.relu(self.wide(d)))
        return out

    def high_stage(self, p: int, context: list[Tensor], low: list[Tensor]) -> Tensor:
        """As `Mean.high_stage`; ``low`` divided by what suits the integers (`scaled`)."""
        mean: Tensor = self.phases[p](torch.cat((*context, *low[p:]), 3))
        return mean

    def scaled(self, low: list[Tensor]) -> list[Tensor]:
        """Low channels as `high_stage` reads them."""
        return [t * self.over for t in low]


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


class _Integers(nn.Module):
    """An integer layer with its shift and the half that rounds folded in: powers of two change no digit."""

    def __init__(self, layer: nn.Module, shift: int) -> None:
        super().__init__()
        assert isinstance(layer, IntConv)
        w, b = (t.detach().double().numpy() * 2.0**-shift for t in layer.integers())
        w = w.reshape(*w.shape[:2], -1)
        make = Conv(w, b + 0.5, None) if w.shape[2] > 1 else Dense(w[:, :, 0], b + 0.5)
        self.layer = make

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layer(x)
        return out


class ScaleMaps(nn.Module):
    """The network that gives the classes of residuals, in integers."""

    def __init__(self, net: Scales) -> None:
        super().__init__()
        self.wide_side = net.WIDE
        self.wide, self.below = _Integers(net.wide, HIDDEN), _Integers(net.below, HIDDEN)
        for name, shift in (("low", HIDDEN), ("reduce", HIDDEN), ("near", HIDDEN), ("mix", HIDDEN)):
            setattr(self, name, nn.ModuleList(_Integers(layer, shift) for layer in getattr(net, name)))
        self.low_out = nn.ModuleList(_Integers(layer, OUT) for layer in net.low_out)
        self.high_out = nn.ModuleList(_Integers(layer, OUT) for layer in net.high_out)
        self.low: nn.ModuleList
        self.reduce: nn.ModuleList
        self.near: nn.ModuleList
        self.mix: nn.ModuleList

    @staticmethod
    def _cut(x: Tensor) -> Tensor:
        return torch.floor(x).clamp(0, RELU)

    def side(self, d: Tensor) -> Tensor:
        """As `Scales.side`."""
        return torch.cat((self._cut(self.wide(d)), d), 3)

    def low_stage(self, stage: Stage, known: list[Tensor], side: Tensor, bias: Tensor) -> Tensor:
        """As `Scales.low_stage`; ``bias`` ``[LOW]`` times ``2**-8``."""
        parts = [cells(stage, LOW_OCTAVES, side.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)]
        if known:
            parts.insert(0, self._cut(self.low[stage.number - 1](torch.cat(known, 3))))
        return torch.floor(self.low_out[stage.number](torch.cat(parts, 3)) + bias).clamp(1, SCALES - 1)

    def high_stage(self, p: int, context: list[Tensor], side: Tensor, bias: Tensor) -> Tensor:
        """As `Scales.high_stage`."""
        near = self._cut(self.near[p](torch.cat(context, 3)))
        mix = self._cut(self.mix[p](torch.cat((near, side), 3)))
        acc = self.high_out[p](torch.cat((mix, side[..., self.wide_side :]), 3)) + bias
        return torch.floor(acc).clamp(0, SCALES - 1)


def _join(maps: list[Tensor]) -> Tensor:
    """`join_phases` for maps ``[1, h, w, C]``."""
    rows = [torch.stack([maps[PHASES.index((i, j))] for j in (0, 1)], 3) for i in (0, 1)]
    x = torch.stack(rows, 2)  # [1, h, 2, w, 2, C]
    _, h, _, w, _, c = x.shape
    return x.reshape(1, 2 * h, 2 * w, c)


def _split(x: Tensor) -> list[Tensor]:
    """Four maps in coding order."""
    return [x[:, i::2, j::2] for i, j in PHASES]


def _pick(stage: Stage, x: Tensor) -> Tensor:
    return stage.pick(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def _side(z: Tensor, z_mul: Tensor) -> Tensor:
    return torch.floor(z * (z_mul * 2.0**-8) + 0.5).clamp(-Z_PEAK, Z_PEAK)


class LatentEncoderGraph(nn.Module):
    """Latents to hyper-latents and residuals.  ``inside`` is 1 in the tile and 0 in its padding."""

    def __init__(self, net: Latents, mean: MeanMaps, z_limit: int, seen: Observed | None) -> None:
        super().__init__()
        self.hyper, self.mean, self.scales = HyperMaps(net.hyper, z_limit, seen), mean, ScaleMaps(net.scales)

    def forward(
        self, y: Tensor, inside: Tensor, keep: Tensor, low_gain: Tensor, low_inv_gain: Tensor,
        high_gain: Tensor, high_inv_gain: Tensor, low_bias: Tensor, high_bias: Tensor, z_mul: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        y, inside = y.permute(0, 2, 3, 1), inside.permute(0, 2, 3, 1)
        low, high = y[..., :LOW], y[..., LOW:]
        z = self.hyper(y, torch.cat((low_gain[-1], high_gain[-1])), 256.0 * Z_UNIT / z_mul)
        z = z * inside[:, ::CELL, ::CELL]
        d = _side(z, z_mul)
        side, unit = self.scales.side(d), 2.0**-OUT

        def code(y: Tensor, mean: Tensor, index: Tensor, gain: Tensor, inv: Tensor, real: Tensor) -> Tensor:
            v = (y - mean) * gain
            r = torch.sign(v) * torch.floor(v.abs() * keep[index.to(torch.int64)] + 0.5) * real
            return torch.cat(((mean + r * inv) * real, r), 3)

        def low_stage(stage: Stage, known: list[Tensor]) -> Tensor:
            part, s = _pick(stage, low), steps_of(stage)
            mean = self.mean.low_stage(stage, [t[..., :LOW] for t in known], part)
            sizes = [magnitude(t[..., LOW:]) for t in known]
            index = self.scales.low_stage(stage, sizes, side, low_bias[stage.number] * unit)
            return code(part, mean, index, low_gain[s], low_inv_gain[s], _pick(stage, inside))

        coded = walk(LOW_OCTAVES, low_stage, _join)
        low_hat, low_r = coded[..., :LOW], coded[..., LOW:]
        low_parts = _split(low_hat)
        scaled = self.mean.scaled(low_parts)
        below = torch.cat([magnitude(t) for t in _split(low_r)], 3)
        context = [self.scales._cut(self.scales.below(below))]
        features = [self.mean.features(d / Z_UNIT)]
        known: list[Tensor] = []
        for p in range(len(PHASES)):
            if p:
                y_hat, r = known[-1].chunk(2, 3)
                features.append(self.mean.reduce[p - 1](torch.cat((low_parts[p - 1], y_hat), 3)))
                context.append(self.scales._cut(self.scales.reduce[p - 1](magnitude(r))))
            mean = self.mean.high_stage(p, features, scaled)
            index = self.scales.high_stage(p, context, side, high_bias[p] * unit)
            part, real = _split(high)[p], _split(inside)[p]
            known.append(code(part, mean, index, high_gain[p], high_inv_gain[p], real))
        r = torch.cat((low_r, _join(known)[..., high.shape[3] :]), 3)
        return z.permute(0, 3, 1, 2), r.permute(0, 3, 1, 2)


class LatentDecoderGraph(nn.Module):
    """Hyper-latents and residuals to latents."""

    def __init__(self, mean: MeanMaps) -> None:
        super().__init__()
        self.mean = mean

    def forward(
        self, z: Tensor, r: Tensor, inside: Tensor, low_inv_gain: Tensor, high_inv_gain: Tensor, z_mul: Tensor
    ) -> Tensor:
        z, r, inside = (t.permute(0, 2, 3, 1) for t in (z, r, inside))
        high, real = _split(r[..., LOW:]), _split(inside)
        low_parts = _split(low_latents(self.mean, r[..., :LOW], inside, low_inv_gain))
        scaled = self.mean.scaled(low_parts)
        features, maps = [self.mean.features(_side(z, z_mul) / Z_UNIT)], list[Tensor]()
        for p in range(len(PHASES)):
            if p:
                features.append(self.mean.reduce[p - 1](torch.cat((low_parts[p - 1], maps[-1]), 3)))
            mean = self.mean.high_stage(p, features, scaled)
            maps.append((mean + high[p] * high_inv_gain[p]) * real[p])
        y_hat = [torch.cat((a, b), 3) for a, b in zip(low_parts, maps, strict=True)]
        return _join(y_hat).permute(0, 3, 1, 2)


class PreviewGraph(nn.Module):
    """Residuals of the low channels to pixels at 1/8, by one linear map of their latents."""

    def __init__(self, mean: MeanMaps, kernel: Array) -> None:
        super().__init__()
        self.mean = mean
        w, b = 255.0 * kernel[:-1].T, 255.0 * kernel[-1] + 0.5  # the half turns truncation into rounding
        self.out = Dense(w, b)

    def forward(self, r: Tensor, inside: Tensor, low_inv_gain: Tensor) -> Tensor:
        r, inside = r.permute(0, 2, 3, 1), inside.permute(0, 2, 3, 1)
        y_hat = low_latents(self.mean, r, inside, low_inv_gain)
        return unblocks(self.out(y_hat).clamp(0.0, 255.0), 2).to(torch.uint8)


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


def low_latents(mean: MeanMaps, r: Tensor, inside: Tensor, low_inv_gain: Tensor) -> Tensor:
    """``y_hat`` ``[1, h, w, LOW]`` of the low channels from their residuals."""

    def stage(stage: Stage, known: list[Tensor]) -> Tensor:
        part = _pick(stage, r)
        means = mean.low_stage(stage, known, part)
        return (means + part * low_inv_gain[steps_of(stage)]) * _pick(stage, inside)

    return walk(LOW_OCTAVES, stage, _join)


def _blocked(weight: Array, side: int) -> Array:
    """Weights ``[out, (c row column)]`` behind a pixel unshuffle, for inputs in the order (row, column,
    c).
    """
    out = len(weight)
    return np.ascontiguousarray(weight.reshape(out, -1, side * side).transpose(0, 2, 1).reshape(out, -1))
