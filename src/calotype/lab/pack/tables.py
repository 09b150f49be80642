"""Integer probability tables, calibrated on what coding photographs would write."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from calotype.coder import TableSet
from calotype.coder.gaussian import gaussian_pmf, log_scales
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import SCALE_MAX, SCALE_MIN, SCALES

Counts = npt.NDArray[np.float64]


class Statistics:
    """Counts of coded symbols: ``r`` ``[64, 801]`` by sigma index, ``z`` ``[L, 64, 801]`` by level and
    channel.
    """

    RADIUS = 400
    """Symbols beyond are counted with it."""

    def __init__(self, model: Calotype) -> None:
        span = 2 * self.RADIUS + 1
        self.r: Counts = np.zeros((SCALES, span))
        self.z: Counts = np.zeros((len(model.config.lambdas), model.config.hyper, span))

    @torch.no_grad()
    def add(self, model: Calotype, x: Tensor, level: Tensor) -> None:
        """Count what coding ``x`` ``[B, 3, H, W]`` (0..1, sides multiples of 64) at ``level`` ``[B]`` would
        write.
        """
        out = model(x, level, hard=True)
        radius, span = self.RADIUS, 2 * self.RADIUS + 1
        r = out.r.clamp(-radius, radius).long() + radius
        flat = out.index.long() * span + r
        self.r += torch.bincount(flat.flatten(), minlength=SCALES * span).reshape(SCALES, span).numpy()
        z = out.z.clamp(-radius, radius).long() + radius
        channel = torch.arange(z.shape[1])[None, :, None, None]
        near = torch.floor(level + 0.5).long()[:, None, None, None]
        flat = (near * z.shape[1] + channel) * span + z
        self.z += torch.bincount(flat.flatten(), minlength=self.z.size).reshape(self.z.shape).numpy()


def r_tables(statistics: Statistics, prior: float = 3000.0) -> TableSet:
    """Tables of the sigma classes: a Gaussian worth ``prior`` samples, plus symmetrised counts."""
    pmfs, offsets = [], []
    middle = Statistics.RADIUS
    for sigma, counts in zip(log_scales(SCALES, SCALE_MIN, SCALE_MAX), statistics.r, strict=True):
        radius = max(1, min(int(np.ceil(4.2 * sigma + 0.5)), middle - 1))
        gauss = np.maximum(gaussian_pmf(float(sigma), radius), 1e-9)
        counts = (counts + counts[::-1]) / 2
        inside = counts[middle - radius : middle + radius + 1]
        seen = np.append(inside, counts.sum() - inside.sum())
        pmf = gauss * prior + seen
        pmfs.append(pmf / pmf.sum())
        offsets.append(-radius)
    return TableSet(pmfs, offsets)


def z_tables(model: Calotype, statistics: Statistics, prior: float = 200.0) -> TableSet:
    """Tables of the hyper-latents, level by level: the trained logistic worth ``prior`` samples, plus
    counts.
    """
    pmfs, offsets = [], []
    middle = Statistics.RADIUS
    loc = model.levels.z_loc.detach().double().numpy()
    scale = np.exp(model.levels.z_log_scale.detach().double().numpy())
    for level in range(loc.shape[0]):
        for channel in range(loc.shape[1]):
            mu, s = loc[level, channel], scale[level, channel]
            radius = int(np.clip(np.ceil(9 * s), 4, 120))
            low = int(np.clip(round(mu) - radius, -middle, middle - 2 * radius))
            edges = 1 / (1 + np.exp(-(np.arange(low, low + 2 * radius + 2) - 0.5 - mu) / s))
            inside = statistics.z[level, channel, low + middle : low + middle + 2 * radius + 1]
            outside = statistics.z[level, channel].sum() - inside.sum()
            pmf = np.append(np.diff(edges), 1 - edges[-1] + edges[0]) * prior + np.append(inside, outside)
            pmf = np.maximum(pmf / pmf.sum(), 1e-7)
            pmfs.append(pmf / pmf.sum())
            offsets.append(low)
    return TableSet(pmfs, offsets)
