"""Levels as the tests of packs want them."""

from __future__ import annotations

import torch

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_levels import Knobs


@torch.no_grad()
def level(model: Calotype, at: float) -> Knobs:
    k: Knobs = model.levels(torch.tensor([at]))
    return k
