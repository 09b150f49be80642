"""Integer probability tables, calibrated on what coding photographs would write."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from calotype.coder import TableSet
from calotype.coder.gaussian import gaussian_pmf, log_scales
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import (
    SCALE_MAX,
    SCALE_MIN,
    SCALES,
    Z_FRACTIONS,
    Z_LOG_STEP,
    Z_SCALE_MIN,
    Z_SCALES,
)
from calotype.lab.models.calotype_walk import LOW, MULTIPLE

Counts = npt.NDArray[np.float64]
KINDS = 3
"""Sets of tables: of residuals without a neighbour (base), of other low channels, of high channels."""


class Statistics:
    """Counts of coded symbols: ``r`` ``[3 * 64, 801]`` by kind and class, ``z`` ``[64, 801]`` by table."""

    RADIUS = 400
    """Symbols beyond are counted with it."""

    def __init__(self) -> None:
        span = 2 * self.RADIUS + 1
        self.r: Counts = np.zeros((KINDS * SCALES, span))
        self.z: Counts = np.zeros((Z_SCALES * Z_FRACTIONS, span))

    @torch.no_grad()
    def add(self, model: Calotype, x: Tensor, level: Tensor) -> None:
        """Count what coding ``x`` ``[B, 3, H, W]`` (0..1, sides multiples of 128) at ``level`` ``[B]`` would
        write.
        """
        found = model(x, level, hard=True).latents
        radius, span = self.RADIUS, 2 * self.RADIUS + 1
        kind = torch.full_like(found.index, KINDS - 1.0)
        kind[:, :LOW] = 1
        kind[:, :LOW, ::MULTIPLE, ::MULTIPLE] = 0
        for counts, row, value in (
            (self.r, kind * SCALES + found.index, found.r),
            (self.z, found.z_index, found.z - found.z_shift),
        ):
            symbol = value.clamp(-radius, radius).long() + radius
            flat = (row.long() * span + symbol).flatten()
            counts += torch.bincount(flat, minlength=counts.size).reshape(counts.shape).numpy()


def r_tables(statistics: Statistics, prior: float = 3000.0) -> TableSet:
    """Tables of the classes, kind by kind: a Gaussian worth ``prior`` samples, plus symmetrised counts."""
    pmfs, offsets = [], []
    middle = Statistics.RADIUS
    sigmas = np.tile(log_scales(SCALES, SCALE_MIN, SCALE_MAX), KINDS)
    for sigma, counts in zip(sigmas, statistics.r, strict=True):
        radius = max(1, min(int(np.ceil(4.2 * sigma + 0.5)), middle - 1))
        gauss = np.maximum(gaussian_pmf(float(sigma), radius), 1e-9)
        counts = (counts + counts[::-1]) / 2
        inside = counts[middle - radius : middle + radius + 1]
        seen = np.append(inside, counts.sum() - inside.sum())
        pmf = gauss * prior + seen
        pmfs.append(pmf / pmf.sum())
        offsets.append(-radius)
    return TableSet(pmfs, offsets)


def z_tables(statistics: Statistics, prior: float = 1000.0) -> TableSet:
    """Tables of z by scale class and fraction: a logistic law worth ``prior`` samples, plus counts."""
    pmfs, offsets = [], []
    middle = Statistics.RADIUS
    for scale in range(Z_SCALES):
        s = Z_SCALE_MIN * np.exp(scale * Z_LOG_STEP)
        radius = int(np.clip(np.ceil(9 * s), 4, 60))
        for fraction in range(Z_FRACTIONS):
            edges = 1 / (1 + np.exp(-(np.arange(-radius, radius + 2) - 0.5 - fraction / Z_FRACTIONS) / s))
            counts = statistics.z[scale * Z_FRACTIONS + fraction]
            inside = counts[middle - radius : middle + radius + 1]
            seen = np.append(inside, counts.sum() - inside.sum())
            pmf = np.append(np.diff(edges), 1 - edges[-1] + edges[0]) * prior + seen
            pmf = np.maximum(pmf / pmf.sum(), 1e-7)
            pmfs.append(pmf / pmf.sum())
            offsets.append(-radius)
    return TableSet(pmfs, offsets)
