"""Integer probability tables, calibrated on what coding photographs would write."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from calotype.coder import TableSet
from calotype.coder.gaussian import log_scales
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
from calotype.lab.pack.trellis import HALF_STEP, Plan
from calotype.pack.tables import KINDS, QUANTISERS

Counts = npt.NDArray[np.float64]


class Statistics:
    """Counts of coded symbols by table: ``r`` ``[2 * 3 * 64, 801]`` by quantiser, kind and class, ``z``
    ``[64, 801]``.

    An encoder's plan of r follows from the tables, so r is counted several times (`again`).
    """

    RADIUS = 400
    """Symbols beyond are counted with it."""

    def __init__(self) -> None:
        span = 2 * self.RADIUS + 1
        self.r: Counts = np.zeros((QUANTISERS * KINDS * SCALES, span))
        self.z: Counts = np.zeros((Z_SCALES * Z_FRACTIONS, span))
        self._plan = Plan(r_tables(self), self.r)

    def again(self) -> None:
        """Forget what was counted, and let what comes be planned with the tables that it gave."""
        self._plan = Plan(r_tables(self), self.r)
        self.r[:], self.z[:] = 0, 0

    @torch.no_grad()
    def add(self, model: Calotype, x: Tensor, level: Tensor) -> None:
        """Count what coding ``x`` ``[B, 3, H, W]`` (0..1, sides multiples of 128) at ``level`` ``[B]`` would
        write.
        """
        found = model(x, level, hard=True, plan=self._plan).latents
        symbol = (found.z - found.z_shift).clamp(-self.RADIUS, self.RADIUS).long() + self.RADIUS
        np.add.at(self.z, (found.z_index.long().numpy(), symbol.numpy()), 1)


def r_tables(statistics: Statistics, prior: float = 300.0) -> TableSet:
    """Tables of the classes, quantiser by quantiser and kind by kind: a Gaussian at the quantiser's values,
    worth ``prior`` samples, plus symmetrised counts.
    """
    pmfs, offsets = [], []
    middle = Statistics.RADIUS
    number = np.arange(-middle, middle + 1)
    sigmas = np.tile(log_scales(SCALES, SCALE_MIN, SCALE_MAX), KINDS)
    for row, counts in enumerate(statistics.r):
        second, sigma = row // len(sigmas), float(sigmas[row % len(sigmas)])
        radius = max(1, min(int(np.ceil(4.2 * sigma + 0.5)), middle - 1))
        value = HALF_STEP * (2 * number - second * np.sign(number))
        # Narrower laws than this one say nothing of what rounding leaves.
        law = np.exp(-0.5 * (value / max(sigma, 0.3)) ** 2) + 1e-12
        seen = prior * law / law.sum() + (counts + counts[::-1]) / 2
        inside = seen[middle - radius : middle + radius + 1]
        pmf = np.maximum(np.append(inside, seen.sum() - inside.sum()) / seen.sum(), 1e-7)
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
