"""A pack's residuals, on a trellis (docs/FORMAT.md, *Trellis*); training rounds them plainly."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from calotype.coder import TableSet, trellis
from calotype.lab.models.calotype_latents import SCALES
from calotype.lab.models.calotype_walk import HIGH_OCTAVES, LOW, LOW_OCTAVES, stages
from calotype.lab.pack.calibrate import Array

HALF_STEP = 0.82
"""Of the step that a model is trained with. On eight pictures the pack for PSNR needs 0.2 % more with 0.72
and the same with 0.84."""


class Plan:
    """The product's encoder's plan of a stage's residuals.

    tables: 384, which say what numbers cost
    counts: ``[384, 2 R + 1]`` by table, to which the numbers are added; R and more count as R
    """

    half_step = HALF_STEP

    def __init__(self, tables: TableSet, counts: Array | None = None) -> None:
        self.tables, self.counts = tables, counts

    def __call__(self, kind: int, residual: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `calotype_coding.Plan`; tensors ``[B, C, h, w]`` without a slope."""
        classes = index.numpy().astype(np.uint8)
        size = (residual.double() / HALF_STEP).numpy().astype(np.float32)
        value, number = np.zeros((2, *classes.shape), np.int32)
        bits = np.zeros(classes.shape)
        for k, coded in enumerate(classes > 0):  # each picture is a tile
            table = classes[k][coded] + np.uint8(SCALES * kind)
            value[k][coded], second = trellis.plan(self.tables, size[k][coded], table)
            number[k][coded] = found = trellis.numbers(value[k][coded], second)
            row = table + len(self.tables) // 2 * second.astype(np.int32)
            bits[k][coded] = self.tables.bits(found, row)
            if self.counts is not None:
                most = self.counts.shape[1] // 2
                np.add.at(self.counts, (row, found.clip(-most, most) + most), 1)
        r, n, cost = (torch.from_numpy(t.astype(np.float32)) for t in (value, number, bits))
        return r, n, cost


def values(number: Array, index: Array) -> Array:
    """The residuals ``[M, h, w]`` with these numbers, int32, by their classes; 0 where nothing is coded.

    number, index: ``[M, h, w]``, h and w multiples of 8
    """
    found = np.zeros(number.shape, np.int32)
    for part, octaves in ((slice(0, LOW), LOW_OCTAVES), (slice(LOW, None), HIGH_OCTAVES)):
        for stage in stages(octaves):
            out, n, classes = (stage.pick(t[None, part])[0] for t in (found, number, index))
            coded = classes > 0
            out[coded] = trellis.values(n[coded].astype(np.int32))
    return found
