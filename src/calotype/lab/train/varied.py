"""Crops that photographs alone do not give: at other scales, flat colours, edges, gradients.

A source of crops as `calotype.lab.train.data.Photos` is one: ``plan``, ``cut``, ``centres``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from calotype.lab.train.data import Cut, Photos
from calotype.lab.train.variants import ENLARGED, REDUCED, drawing

LARGER = 4 / 7
"""Share of the enlarged ones among the crops at other scales."""


class View(NamedTuple):
    """A square of a photograph that is scaled to the crop's size; or a drawing."""

    cut: Cut
    side: int
    """Of the square; 0: a drawing."""
    key: tuple[int, ...]
    """Decides a drawing."""


class Varied:
    """Crops of photographs, a share of them at another scale and a share of them drawn.

    scale: share of crops that are enlarged by 1.2 to 2 or reduced to 0.5 to 0.9 (4 : 3).
    flat:  share of crops that are one colour, two with an edge between, or a gradient.
    """

    def __init__(self, photos: Photos, scale: float, flat: float) -> None:
        self.photos, self.scale, self.flat = photos, scale, flat

    def plan(self, indices: Sequence[int], key: Sequence[int], count: int, size: int) -> list[View]:
        """``count`` random crops of ``size`` x ``size``, decided by ``key`` (whole numbers from 0) alone."""
        rng, views = np.random.default_rng(list(key)), []
        for k in range(count):
            side = size
            drawn, scaled, larger = rng.random(3)
            factor = rng.uniform(*(ENLARGED if larger < LARGER else REDUCED))
            if drawn < self.flat:
                side = 0
            elif scaled < self.scale:
                side = math.ceil(size / factor)
            own = (*key, k + 1)
            cut = self.photos.plan(indices, own, 1, side or size)[0]
            views.append(View(cut, side, own))
        return views

    def cut(self, views: Sequence[View], size: int) -> Tensor:
        """The crops of a plan, uint8 ``[n, 3, size, size]``."""
        return torch.cat([self._crop(view, size) for view in views])

    def centres(self, indices: Sequence[int], size: int) -> Tensor:
        """As `Photos.centres`: what is validated on is as it is."""
        return self.photos.centres(indices, size)

    def _crop(self, view: View, size: int) -> Tensor:
        if not view.side:
            return torch.from_numpy(drawing(view.key, size)).permute(2, 0, 1)[None]
        crop = self.photos.cut([view.cut], view.side)
        if view.side == size:
            return crop
        pixels = Image.fromarray(crop[0].permute(1, 2, 0).contiguous().numpy())
        how = Image.Resampling.BICUBIC if view.side < size else Image.Resampling.BOX
        scaled = np.array(pixels.resize((size, size), how))
        return torch.from_numpy(scaled).permute(2, 0, 1)[None]
