"""All that a decoder computes after parsing, in fixed point: means, synthesis, preview, and a level's tables."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.pack.fixed import Layer, bytes_, quantised
from calotype.lab.pack.fixed_mean import FixedMean, steps
from calotype.lab.pack.fixed_synthesis import FixedSynthesis
from calotype.lab.pack.int8 import samples
from calotype.lab.pack.latent_graphs import preview_kernel
from calotype.lab.pack.qdq import Array

SIDE = 128
"""Side of the pictures of pure colours and hard edges."""


class FixedNetworks:
    """Made from a model; calibrated on pictures ``[N, 3, H, W]`` (0..1, sides multiples of 128) coded at
    ``levels`` ``[N]``, and on a few of pure colours and hard edges.
    """

    def __init__(self, model: Calotype, pixels: Tensor, levels: Tensor) -> None:
        edges = hard_pictures(SIDE)
        most = torch.full((len(edges),), float(len(model.config.lambdas) - 1))
        latents, seen = _observed(model, pixels, levels)
        extremes, _ = _observed(model, edges, most)
        self.synthesis = FixedSynthesis(
            model.synthesis, latents + model.levels(levels).vector, extremes + model.levels(most).vector
        )
        self.unit = self.synthesis.unit16
        self.mean = FixedMean(model.latents.mean, self.unit, lambda module: seen[module])
        kernel, low = preview_kernel(latents[:, :LOW], pixels), samples(latents[:, :LOW]).mean(0)
        w, b = 255 * kernel[:-1].T[:, :, None], 255 * kernel[-1]
        self.preview = quantised(w, b, self.unit[:LOW], np.ones(12), "words", low)

    def arrays(self) -> dict[str, Array]:
        """What the file of a pack holds, by name."""
        found = {"mean.base": self.mean.base.astype(np.int32)}
        parts = {"mean": self.mean.layers(), "synthesis": self.synthesis.layers()}
        for prefix, layers in parts.items():
            for name, layer in layers.items():
                found |= _named(f"{prefix}.{name}", layer)
        return found | _named("preview", self.preview)

    def tables(self, model: Calotype) -> dict[str, Array]:
        """What a level sets, at the trained ones: steps ``[L, 4, C]``, and the vector ``[L, M]``, integers."""
        levels, unit = model.levels, self.unit
        low, high = (
            getattr(levels, f"{part}_log_inv_gain").detach().double().exp().numpy() for part in ("low", "high")
        )
        found = {
            "low_step": steps(low, unit[:LOW]),
            "high_step": steps(high, unit[LOW:]),
            "level_vector": np.rint(levels.vector.detach().double().numpy() / unit),
        }
        return {name: table.astype(np.int32) for name, table in found.items()}

    def small(self, low: Tensor) -> Tensor:
        """Words ``[1, LOW, h, w]`` to the picture at an eighth, ``[1, 3, 2h, 2w]``, 0..255."""
        out = bytes_(self.preview(low)).unflatten(1, (4, 3)).transpose(1, 2).flatten(1, 2)
        return nn.functional.pixel_shuffle(out, 2)


def hard_pictures(side: int) -> Tensor:
    """Pictures ``[N, 3, side, side]`` (0..1) of the cube's corners, and of black and white or two colours in
    stripes, boards and noise.
    """
    bits = torch.arange(8)[:, None] >> torch.arange(3) & 1
    made = [corner.float()[:, None, None].expand(3, side, side) for corner in bits]
    place = torch.arange(side)
    for width in (1, 2, 4, 8, 16):
        stripes = (place[:, None] // width % 2).float().expand(side, side)
        board = ((place[:, None] // width + place // width) % 2).float()
        for shape in (stripes, stripes.T, board):
            made += [shape.expand(3, side, side), torch.stack((shape, 1 - shape, shape))]
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))
    return torch.stack([*made, (noise > 0.5).float()])


@torch.no_grad()
def _observed(
    model: Calotype, pixels: Tensor, levels: Tensor
) -> tuple[Tensor, dict[nn.Module, tuple[Tensor, Tensor]]]:
    """Latents ``[N, M, h, w]`` as a decoder restores them, and what the modules of the mean network read and
    gave.
    """
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen[module] = given[0], out

    mean = model.latents.mean
    hooks = [module.register_forward_hook(note) for module in mean.modules() if module is not mean]
    y_hat = model(pixels, levels, hard=True).latents.y_hat
    for hook in hooks:
        hook.remove()
    return y_hat, seen


def _named(name: str, layer: Layer) -> dict[str, Array]:
    return {f"{name}.{part}": array for part, array in layer.arrays().items()}
