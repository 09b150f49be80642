"""Starting point of the product's model: the best linear codec, in closed form.

The patch transform is the Karhunen-Loeve basis of 8x8 patches, the merge that of four neighbours'
coefficients, the synthesis their transposes; residual branches are zero.  Hyper-latents are mean log
magnitudes over energy-sorted bands, predicted linearly from those around them; classes an affine map of them;
means linear predictions from the phases before, all by least squares.  Step 0 is then a transform codec with
prediction and adaptive entropy coding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.integer import IntConv
from calotype.lab.models.base import Sampler
from calotype.lab.models.calotype_latents import (
    HYPER,
    LOG_STEP,
    SCALE_MIN,
    Z_LOG_STEP,
    Z_SCALE_MIN,
    Z_UNIT,
    cells,
    dequantise,
)
from calotype.lab.models.calotype_levels import Knobs, steps_of
from calotype.lab.models.calotype_transforms import Pointwise
from calotype.lab.models.calotype_walk import (
    HIGH_OCTAVES,
    HYPER_OCTAVES,
    LOW,
    LOW_OCTAVES,
    Stage,
    split_phases,
    stages,
    walk,
)

if TYPE_CHECKING:
    from calotype.lab.models.calotype import Calotype

BAND_STARTS = (0, 16, 64, 160)
"""First channels of the energy-sorted bands in a model of 384 latents; others are divided in proportion."""
STEP = 4.5
"""A step of ``STEP / sqrt(lambda)`` on a 0..255 scale is where the uniform quantiser's slope meets lambda."""
FINER = (2.0, 1.6, 1.25, 1.0)
"""How much finer the low channels of coarse grids are quantised: what they predict depends on their error."""
SEEN = 32
"""Channels of the phases before that the means of high channels begin with."""


@torch.no_grad()
def start(model: Calotype, sample: Sampler, batches: int = 24) -> None:
    """Set every parameter of ``model`` to its closed-form value, from ``batches`` batches of ``sample``."""
    model.eval()
    spread = _transforms(model, sample, batches)
    _gains(model, spread)

    def latents(seed: int) -> Tensor:
        y: Tensor = model.analysis(sample(seed))
        return y

    start_latents(model, latents, batches)


@torch.no_grad()
def start_latents(model: Calotype, sample: Sampler, batches: int = 24) -> None:
    """Set the latent networks, for transforms and gains as they are; ``sample``: seed to latents
    ``[B, M, H, W]``, H and W multiples of 8.
    """
    model.eval()
    _bands(model)
    _low_means(model, sample, batches)
    _high_means(model, sample, batches)
    _hyper(model, sample, batches)
    _scales(model, sample, batches)
    model.train()


def _basis(moment: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors (rows) and standard deviations, largest first."""
    values, vectors = torch.linalg.eigh(moment)
    return vectors.flip(1).T.float(), values.flip(0).clamp_min(1e-7).sqrt().float()


def _transforms(model: Calotype, sample: Sampler, batches: int) -> Tensor:
    """Set the linear path; returns what the latents were divided by, ``[M]``.

    Each feature is divided by the root of its standard deviation: half-way to white.
    """
    width, m = model.config.width, model.config.latents
    second = torch.zeros(192, 192, dtype=torch.float64)
    count = 0
    for seed in range(batches):
        p = F.unfold(sample(seed) - 0.5, 8, stride=8).transpose(1, 2).reshape(-1, 192).double()
        second += p.T @ p
        count += len(p)
    basis, std = _basis(second / count)
    s = std.sqrt()
    model.analysis.patch.weight.copy_((basis / s[:, None])[:width].reshape(width, 3, 8, 8))
    _unbiased(model.analysis.patch)

    second = torch.zeros(4 * width, 4 * width, dtype=torch.float64)
    scale = s[:width].repeat_interleave(4)[None]
    for seed in range(batches):
        c = F.pixel_unshuffle(model.analysis.patch(sample(seed) - 0.5), 2)
        c = c.permute(0, 2, 3, 1).reshape(-1, 4 * width) * scale
        second += (c.T @ c).double()
    merged, std2 = _basis(second / (count / 4))
    merged, t = merged[:m], std2[:m].sqrt()
    forward = merged * scale / t[:, None]
    model.analysis.merge.weight.copy_(forward.reshape(m, width, 2, 2))
    _unbiased(model.analysis.merge)
    model.synthesis.split.weight.copy_((merged * t[:, None] / scale).T[:, :, None, None])
    model.synthesis.split.bias.zero_()
    model.synthesis.patch.weight.copy_((basis * s[:, None])[:width].T[:, :, None, None])
    model.synthesis.patch.bias.zero_()
    for part in (model.analysis, model.synthesis):
        for block in part.blocks8:
            block.fit(s[:width])
        for block in part.blocks16:
            block.fit(t)
    model.synthesis.render.fit(s[:width])
    return t


def _unbiased(layer: nn.Conv2d) -> None:
    assert layer.bias is not None
    layer.bias.zero_()


def _gains(model: Calotype, spread: Tensor) -> None:
    for level, lam in enumerate(model.config.lambdas):
        set_gains(model, level, (spread * (255.0 / STEP) * lam**0.5).log())
    model.levels.vector.zero_()


@torch.no_grad()
def set_gains(model: Calotype, level: int, log_gain: Tensor) -> None:
    """Steps of a level from those of a single grid, ``[M]``."""
    levels = model.levels
    low = log_gain[:LOW] + torch.tensor(FINER).log()[:, None]
    levels.low_log_gain[level], levels.low_log_inv_gain[level] = low, -low
    levels.high_log_gain[level], levels.high_log_inv_gain[level] = log_gain[LOW:], -log_gain[LOW:]


def _bands(model: Calotype) -> None:
    m, hyper = model.config.latents, model.latents.hyper
    starts = [round(first * m / 384) for first in BAND_STARTS]
    weight = torch.zeros(HYPER, m)
    for band, (low, high) in enumerate(zip(starts, (*starts[1:], m), strict=True)):
        weight[band, low:high] = 1.0 / (high - low)
    hyper.bands.weight.copy_(weight[:, :, None, None])
    hyper.bands.bias.zero_()
    hyper.out.silence()


def _known(octaves: int, t: Tensor) -> Iterator[tuple[Stage, list[Tensor], Tensor]]:
    """Each stage of a map but base, with the phases before it and its own values."""
    found: list[tuple[Stage, list[Tensor], Tensor]] = []

    def look(stage: Stage, known: list[Tensor]) -> Tensor:
        own = stage.pick(t)
        if known:
            found.append((stage, list(known), own))
        return own

    walk(octaves, look)
    yield from found


class _LeastSquares:
    """Linear prediction of ``[B, n, h, w]`` from 3x3 neighbourhoods of ``[B, c, h, w]``."""

    def __init__(self, kernel: int = 3) -> None:
        self.kernel = kernel
        self.gram: Tensor | float = 0.0
        self.moment: Tensor | float = 0.0

    def add(self, known: Tensor, own: Tensor) -> None:
        a = F.unfold(known, self.kernel, padding=self.kernel // 2).transpose(1, 2).flatten(0, 1).double()
        b = own.permute(0, 2, 3, 1).flatten(0, 2).double()
        self.gram, self.moment = self.gram + a.T @ a, self.moment + a.T @ b

    def solve(self, ridge: float = 1e-2) -> Tensor:
        """Kernels ``[n, c, k, k]``."""
        assert isinstance(self.gram, Tensor)
        assert isinstance(self.moment, Tensor)
        gram = self.gram.clone()
        gram.diagonal().add_(ridge * gram.diagonal().mean())
        w = torch.linalg.solve(gram, self.moment).T.float()
        return w.reshape(len(w), -1, self.kernel, self.kernel)


def _linear_path(conv: nn.Conv2d, out: nn.Conv2d, kernels: Tensor, first: int = 0) -> None:
    """Make the first outputs of ``out(cat(t, relu(t), ...))``, t = conv(x), the linear prediction ``kernels``
    of the inputs from ``first`` on.
    """
    n, c = kernels.shape[:2]
    conv.weight[:n].zero_()
    conv.weight[:n, first : first + c] = kernels
    _unbiased(conv)
    out.weight.zero_()
    out.weight[range(n), range(n)] = 1.0


def _low_means(model: Calotype, sample: Sampler, batches: int) -> None:
    mean, fits = model.latents.mean, [_LeastSquares() for _ in model.latents.mean.low]
    total, count = torch.zeros(LOW), 0
    for seed in range(batches):
        y = sample(seed)[:, :LOW]
        total, count = total + y.mean((0, 2, 3)), count + 1
        for stage, known, own in _known(LOW_OCTAVES, y):
            fits[stage.number - 1].add(torch.cat(known, 1), own)
    mean.base.copy_(total / count)
    for fit, conv, out in zip(fits, mean.low, mean.low_out, strict=True):
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(out, nn.Conv2d)
        _linear_path(conv, out, fit.solve(1e-4))


def _high_means(model: Calotype, sample: Sampler, batches: int, predicted: int = 60) -> None:
    """Predict the first high channels from the low ones of this phase and of those behind it."""
    mean, fits = model.latents.mean, [_LeastSquares() for _ in range(4)]
    m = model.config.latents
    predicted, passed, seen = min(predicted, m - LOW), min(mean.REDUCED, m), min(SEEN, m)
    for layer in mean.reduce:
        assert isinstance(layer, Pointwise)
        layer.silence()
        layer.weight[range(passed), range(passed)] = 1.0
    for seed in range(batches):
        parts = split_phases(sample(seed))
        for p in range(4):
            known = torch.cat([q[:, :LOW] for q in parts[p:]], 1)
            if p:
                known = torch.cat((torch.cat([q[:, :seen] for q in parts[:p]], 1), known), 1)
            fits[p].add(known, parts[p][:, LOW : LOW + predicted])
    n = mean.REDUCED
    for p, (conv, out) in enumerate(zip(mean.conv, mean.out, strict=True)):
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(out, nn.Conv2d)
        kernels = fits[p].solve()
        _linear_path(conv, out, kernels[:, seen * p :], n * (1 + p))
        for q in range(p):
            conv.weight[:predicted, n * (1 + q) : n * (1 + q) + seen] = kernels[:, seen * q :][:, :seen]


def _dequantised(model: Calotype, y: Tensor, k: Knobs) -> Tensor:
    v = model.latents.hyper(y, k.gain) * (256 * Z_UNIT / k.z_mul)
    return dequantise(torch.floor(v + 0.5), k.z_mul)


def _hyper(model: Calotype, sample: Sampler, batches: int) -> None:
    """Locations of z: linear predictions; scales: the spread of what is left."""
    levels, net = model.levels, model.latents.hyper_model
    anchors, names = len(model.config.lambdas), stages(HYPER_OCTAVES)
    fits = [_LeastSquares() for _ in names]
    for seed in range(batches):
        y = sample(seed)
        level = torch.arange(len(y)) % anchors
        d = _dequantised(model, y, levels(level.float()))
        fits[0].add(torch.ones_like(names[0].pick(d))[:, :1], names[0].pick(d))
        for stage, known, own in _known(HYPER_OCTAVES, d):
            # A level's offset is learned; here one constant stands for all.
            ones = torch.ones_like(own[:, :1]) * 16
            fits[stage.number].add(torch.cat((*known, ones), 1), own)
    levels.z_place.zero_()
    for stage in names[1:]:
        kernels = fits[stage.number].solve(1e-3)
        net.linear[stage.number - 1].weight.copy_(kernels[:, :-1])
        levels.z_place[:, stage.number] = 16 * kernels[:, -1, 1, 1]
    mean = fits[0].solve(1e-6)[:, 0, 1, 1]
    levels.z_place[:, 0] = mean
    z_mul = levels.integers()["z_mul"]
    for stage in names:
        spread = 6.0 if stage.number else 16.0  # standard deviation in 1/16 log units, roughly
        scale = torch.log(0.55 * spread * 256 / z_mul / Z_SCALE_MIN) / Z_LOG_STEP
        levels.z_scale[:, stage.number] = scale.clamp(1, 14)


def _scales(model: Calotype, sample: Sampler, batches: int) -> None:
    """Least squares of log|residual| on dequantised z and the level, over all levels at once, for each stage
    of the low channels and each phase of the others; on other samples than the means were fitted to.
    """
    anchors, levels, net = len(model.config.lambdas), model.levels, model.latents.scales
    steps = [
        (stage, slice(0, LOW), layer) for stage, layer in zip(stages(LOW_OCTAVES), net.low_out, strict=True)
    ]
    steps += [
        (stage, slice(LOW, None), layer)
        for stage, layer in zip(stages(HIGH_OCTAVES), net.high_out, strict=True)
    ]
    fits = [_LeastSquares(1) for _ in steps]
    for seed in range(batches):
        y = sample(batches + seed)
        generator = torch.Generator().manual_seed(seed)
        level = torch.rand(len(y), generator=generator) * (anchors - 1)
        k = levels(level)
        out = model.latents(y, k, generator=generator)
        d = dequantise(out.z, k.z_mul)
        hats = (1 - (level[:, None] - torch.arange(anchors)).abs()).clamp_min(0)[:, :, None, None]
        target = ((out.residual.abs() + 0.05).log() + 0.5 - torch.tensor(SCALE_MIN).log()) / LOG_STEP
        for fit, (stage, channels, _) in zip(fits, steps, strict=True):
            own = stage.pick(target[:, channels])
            known = cells(stage, LOW_OCTAVES, d)
            fit.add(torch.cat((known, hats.expand(-1, -1, *known.shape[2:])), 1), own)
    for fit, (stage, channels, layer) in zip(fits, steps, strict=True):
        assert isinstance(layer, IntConv)
        w = fit.solve(1e-4)[:, :, 0, 0]
        bias = levels.low_bias if channels.stop else levels.high_bias
        layer.weight.zero_()
        layer.weight[:, -HYPER:, 0, 0] = w[:, :HYPER]
        bias[:, stage.number] = w[:, HYPER:].T


__all__ = ["set_gains", "start", "start_latents", "steps_of"]
