"""All that a decoder computes after parsing, in fixed point: means, synthesis, preview, a level's tables."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import dequantise
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.pack.calibrate import SIDE, Array, hard_pictures, samples
from calotype.lab.pack.fixed import Layer, bytes_, quantised, words
from calotype.lab.pack.fixed_mean import FixedMean, log_steps
from calotype.lab.pack.fixed_synthesis import FixedSynthesis
from calotype.lab.pack.trellis import HALF_STEP
from calotype.pack.levels import RESTORATION, interpolated, powers_of_two


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
        """What a level sets, at the trained ones: steps ``[L, 4, C]`` and the vector ``[L, M]``, int32."""
        levels, unit = model.levels, self.unit
        low, high = (
            HALF_STEP * getattr(levels, f"{part}_log_inv_gain").detach().double().exp().numpy()
            for part in ("low", "high")
        )
        found = {
            "low_log_step": log_steps(low, unit[:LOW]),
            "high_log_step": log_steps(high, unit[LOW:]),
            "level_vector": np.rint(levels.vector.detach().double().numpy() / unit),
        }
        return {name: table.astype(np.int32) for name, table in found.items()}

    def small(self, low: Tensor) -> Tensor:
        """Words ``[1, LOW, h, w]`` to the picture at an eighth, ``[1, 3, 2h, 2w]``, 0..255."""
        out = bytes_(self.preview(low)).unflatten(1, (4, 3)).transpose(1, 2).flatten(1, 2)
        return nn.functional.pixel_shuffle(out, 2)


def golden_pixels(
    fixed: FixedNetworks, tables: dict[str, Array], vectors: dict[str, Array]
) -> dict[str, Array]:
    """What the golden integers of `exact.golden` decode to, computed by torch: golden_pixels U8
    [G, 128, 128, 3] and golden_preview U8 [G, 16, 16, 3].
    """
    pixels, small = [], []
    cases = zip(*(vectors[f"golden_{name}"] for name in ("level", "z", "r")), strict=True)
    for level, z, r in cases:
        low, high = (
            torch.from_numpy(powers_of_two(interpolated(tables[name], int(level)))).double()
            for name in ("low_log_step", "high_log_step")
        )
        mul, vector = (
            torch.from_numpy(interpolated(tables[name], int(level))).double()
            for name in ("z_mul", "level_vector")
        )
        known = torch.from_numpy(z.astype(np.float64))[None]
        d = dequantise(known, mul[None, :, None, None])
        inside = torch.ones(1, 1, *r.shape[1:], dtype=torch.float64)
        y = fixed.mean.restore(d, torch.from_numpy(r.astype(np.float64))[None], inside, low, high)
        taps = tables.get(RESTORATION)
        filter_ = None if taps is None else interpolated(taps, int(level)).astype(np.int16)
        pixels.append(_bytes(fixed.synthesis(words(y + vector[:, None, None]), filter_)))
        small.append(_bytes(fixed.small(y[:, :LOW])))
    return {"golden_pixels": np.stack(pixels), "golden_preview": np.stack(small)}


def _bytes(pixels: torch.Tensor) -> Array:
    return pixels[0].permute(1, 2, 0).numpy().astype(np.uint8)


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


@torch.no_grad()
def preview_kernel(y_hat: Tensor, x: Tensor) -> Array:
    """The best linear map ``[LOW + 1, 12]`` (the last row is the offset) from low latents ``[N, LOW, h, w]``
    to the 2x2 means of 8x8 pixels, of 3 colours, under each; ``x`` ``[N, 3, 16h, 16w]`` in 0..1.
    """
    small = F.avg_pool2d(x, 8)  # [N, 3, 2h, 2w]
    target = F.pixel_unshuffle(small, 2).unflatten(1, (3, 4)).transpose(1, 2).flatten(1, 2)
    a = y_hat.permute(0, 2, 3, 1).reshape(-1, y_hat.shape[1]).double()
    a = torch.cat((a, torch.ones(len(a), 1, dtype=torch.float64)), 1)
    b = target.permute(0, 2, 3, 1).reshape(-1, 12).double()
    gram = a.T @ a
    gram.diagonal().add_(1e-6 * gram.diagonal().mean())
    return np.asarray(torch.linalg.solve(gram, a.T @ b).numpy())
