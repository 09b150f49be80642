"""A small model of the product, for tests that need one and no training."""

from __future__ import annotations

import torch

from calotype.lab.models.calotype import Calotype, Config


def product() -> Calotype:
    """The same weights each time."""
    torch.manual_seed(0)
    return Calotype(
        Config(
            latents=24,
            width=16,
            narrow=8,
            narrow16=8,
            wide16=8,
            render=8,
            analysis_blocks=(1, 1),
            synthesis_blocks=(1, 1),
        )
    )
