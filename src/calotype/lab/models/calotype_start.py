"""Starting point of the product's model: the best linear codec, in closed form.

The patch transform is the Karhunen-Loeve basis of 8x8 patches, the merge that of four neighbours'
coefficients, the synthesis their transposes; residual branches are zero.  Hyper-latents are mean log
magnitudes over energy-sorted bands; sigma indices an affine map of them, and the means of phases 1 to 3
linear predictions from the phases before, both by least squares.  Step 0 is then a transform codec with
prediction and adaptive entropy coding.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import BANDS, HYPER, LOG_STEP, SCALE_MIN, Pointwise, split_phases

BAND_STARTS = (0, 12, 48, 120)
"""First channels of the energy-sorted bands in a model of 256 latents; others are divided in proportion."""
STEP = 4.5
"""A step of ``STEP / sqrt(lambda)`` on a 0..255 scale is where the uniform quantiser's slope meets lambda."""
Sampler = Callable[[int], Tensor]
"""Seed to pictures ``[B, 3, H, W]`` in 0..1, H and W multiples of 64."""


@torch.no_grad()
def start(model: Calotype, sample: Sampler, batches: int = 24) -> None:
    """Set every parameter of ``model`` to its closed-form value, from ``batches`` batches of ``sample``."""
    model.eval()
    spread = _transforms(model, sample, batches)
    _gains(model, spread)
    _bands(model)
    _means(model, sample, batches)
    _scales(model, sample, batches)


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
    return t


def _unbiased(layer: nn.Conv2d) -> None:
    assert layer.bias is not None
    layer.bias.zero_()


def _gains(model: Calotype, spread: Tensor) -> None:
    for level, lam in enumerate(model.config.lambdas):
        gain = (spread * (255.0 / STEP) * lam**0.5).log()
        model.levels.log_gain[level] = gain
        model.levels.log_inv_gain[level] = -gain
    model.levels.vector.zero_()


def _bands(model: Calotype) -> None:
    m = model.config.latents
    starts = [round(first * m / 256) for first in BAND_STARTS]
    weight = torch.zeros(BANDS, m)
    for band, (low, high) in enumerate(zip(starts, (*starts[1:], m), strict=True)):
        weight[band, low:high] = 1.0 / (high - low)
    model.hyper.bands.weight.copy_(weight[:, :, None, None])
    model.hyper.bands.bias.zero_()


def _means(model: Calotype, sample: Sampler, batches: int, leading: int = 16, predicted: int = 60) -> None:
    """Predict the first ``predicted`` channels from the first ``leading`` ones in a 3x3 neighbourhood."""
    mean, reduced = model.mean, model.mean.REDUCED
    predicted = min(predicted, model.config.latents)
    for layer in mean.reduce:
        assert isinstance(layer, Pointwise)
        layer.silence()
        layer.weight[range(leading), range(leading)] = 1.0
    parts = [split_phases(model.analysis(sample(seed))) for seed in range(batches)]
    for p in range(1, 4):
        gram = torch.zeros(leading * p * 9, leading * p * 9, dtype=torch.float64)
        moment = torch.zeros(leading * p * 9, predicted, dtype=torch.float64)
        for phases in parts:
            known = F.pad(torch.cat([q[:, :leading] for q in phases[:p]], 1), (1, 1, 1, 1))
            a = F.unfold(known, 3).transpose(1, 2).reshape(-1, leading * p * 9).double()
            b = phases[p][:, :predicted].permute(0, 2, 3, 1).reshape(-1, predicted).double()
            gram += a.T @ a
            moment += a.T @ b
        gram.diagonal().add_(1e-2 * gram.diagonal().mean())
        w = torch.linalg.solve(gram, moment).T.float().reshape(predicted, p, leading, 3, 3)
        conv, out = mean.conv[p], mean.out[p]
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(out, nn.Conv2d)
        conv.weight[:predicted].zero_()
        for q in range(p):
            begin = reduced * (1 + q)
            conv.weight[:predicted, begin : begin + leading] = w[:, q]
        _unbiased(conv)
        out.weight.zero_()
        out.weight[range(predicted), range(predicted)] = 1.0


def _scales(model: Calotype, sample: Sampler, batches: int) -> None:
    """Least squares of log|residual| on the dequantised bands and the level, over all levels at once."""
    anchors, m = len(model.config.lambdas), model.config.latents
    gram = torch.zeros(BANDS + anchors, BANDS + anchors, dtype=torch.float64)
    moment = torch.zeros(BANDS + anchors, m, dtype=torch.float64)
    v_sum, v_square, v_count = (torch.zeros(anchors, HYPER) for _ in range(3))
    for seed in range(batches):
        x = sample(seed)
        generator = torch.Generator().manual_seed(seed)
        level = torch.rand(len(x), generator=generator) * (anchors - 1)
        out = model(x, level, generator=generator)
        knobs = model.levels(level)
        d = F.pixel_shuffle(model.scales.dequantise(out.z, knobs.z_mul), 4)
        hats = (1 - (level[:, None] - torch.arange(anchors)).abs()).clamp_min(0)
        hats = hats[:, :, None, None].expand(-1, -1, *d.shape[2:])
        a = torch.cat((d, hats), 1).permute(0, 2, 3, 1).reshape(-1, BANDS + anchors).double()
        log_sigma = (out.residual.abs() + 0.05).log() + 0.5
        b = (
            ((log_sigma - torch.tensor(SCALE_MIN).log()) / LOG_STEP)
            .permute(0, 2, 3, 1)
            .reshape(-1, m)
            .double()
        )
        gram += a.T @ a
        moment += a.T @ b
        near = level.round().long()
        for i in range(len(x)):
            z = out.z[i].flatten(1)
            v_sum[near[i]] += z.sum(1)
            v_square[near[i]] += z.square().sum(1)
            v_count[near[i]] += z.shape[1]
    gram.diagonal().add_(1.0)
    w = torch.linalg.solve(gram, moment).T.float()
    model.scales.out.weight.zero_()
    model.scales.out.weight[:, 64:, 0, 0] = w[:, :BANDS]
    model.scales.out.bias.zero_()
    model.levels.bias.copy_(w[:, BANDS:].T)
    loc = v_sum / v_count.clamp_min(1)
    var = (v_square / v_count.clamp_min(1) - loc.square()).clamp_min(0.05)
    model.levels.z_loc.copy_(loc)
    model.levels.z_log_scale.copy_((var.sqrt() * 0.5513).log())
