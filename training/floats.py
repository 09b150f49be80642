"""The synthesis of a pack as floats, to train on where the weights that it was made of are not kept.

Integers say what a layer does from units to units.  Those of latents and pixels are known; what hidden
channels count in can be chosen freely, and is chosen so that weights are as large as those of the model that
takes them, for which the optimiser's steps are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from calotype.codec import manifest, tensors
from calotype.codec.pack import Pack
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Bottleneck, Branch, Renderer, folded
from calotype.lab.pack.calibrate import unshuffled
from calotype.lab.pack.fixed_synthesis import quarters
from calotype.lab.pack.restoration import FRACTION

Array = npt.NDArray[Any]


@torch.no_grad()
def take(pack: Pack, model: Calotype) -> None:
    """Put the synthesis and the level vectors of ``pack`` into ``model``, which has to have its sizes."""
    held = _Held(tensors.load(pack.file(manifest.NETWORKS)))
    net, plain = model.synthesis, folded(model.synthesis)
    unit16 = np.asarray(pack.unit, np.float64).reshape(-1)
    for k, block in enumerate(plain.blocks16):
        held.bottleneck(f"blocks16.{k}", block, unit16)
    unit8 = held.hidden("split", plain.split, unit16, _shuffled(plain.split, 2), 4)
    for k, block in enumerate(plain.blocks8):
        held.bottleneck(f"blocks8.{k}", block, unit8)
    pixel = np.full(192, 1 / (255 * FRACTION))
    held.put("patch", plain.patch, unit8, pixel, quarters(_shuffled(plain.patch, 8)))
    plain.patch.bias -= 0.5
    render = plain.render
    unit = held.hidden("up", render.up, unit8, _shuffled(render.up, 2), 4)
    for k, conv in enumerate(render.convs):
        unit = held.hidden(f"convs.{k}", conv, unit)
    held.put("out", render.out, unit, pixel[:48], _shuffled(render.out, 4))

    for own, made in zip(net.modules(), plain.modules(), strict=True):
        if isinstance(own, Branch) and isinstance(made, Branch):
            _unfold(made, own.given, own.added)
    net.load_state_dict({**net.state_dict(), **dict(plain.named_parameters())})
    vector = tensors.load(pack.file(manifest.TABLES))["level_vector"] * unit16
    model.levels.vector.copy_(torch.from_numpy(vector))


@dataclass
class _Held:
    """A pack's integer layers."""

    arrays: dict[str, Array]

    def floats(self, name: str, rows: Array | None) -> tuple[Array, Array]:
        """Weights ``[out, in, side, side]`` and biases ``[out]`` between units, in the order of a layer whose
        row ``rows[k]`` is row k of the pack.
        """
        weight, bias, mul = (
            self.arrays[f"synthesis.{name}.{part}"].astype(np.float64) for part in ("weight", "bias", "mul")
        )
        weight, bias = weight * (mul / 2**32)[:, None, None, None], bias * mul / 2**32
        order = np.arange(len(bias)) if rows is None else np.argsort(rows)
        return weight[order], bias[order]

    def put(self, name: str, layer: nn.Conv2d, given: Array, added: Array, rows: Array | None = None) -> None:
        """Fill a layer that reads units ``given`` ``[in]`` and adds in units ``added`` ``[out]``."""
        weight, bias = self.floats(name, rows)
        assert layer.bias is not None
        layer.weight.copy_(torch.from_numpy(weight / given[:, None, None] * added[:, None, None, None]))
        layer.bias.copy_(torch.from_numpy(bias * added))

    def hidden(
        self, name: str, layer: nn.Conv2d, given: Array, rows: Array | None = None, share: int = 1
    ) -> Array:
        """Fill a layer whose outputs count in units that are free, and return these; ``share`` rows of the
        layer, which stand together, have one.
        """
        weight, _ = self.floats(name, rows)
        is_, was = (
            np.sqrt(np.square(w).reshape(len(w) // share, -1).sum(1))
            for w in (weight / given[:, None, None], layer.weight.double().numpy())
        )
        unit = was / np.maximum(is_, 1e-12)
        self.put(name, layer, given, np.repeat(unit, share), rows)
        return np.asarray(unit)

    def bottleneck(self, name: str, block: nn.Module, unit: Array) -> None:
        """Fill a bottleneck on a stream of ``unit``."""
        assert isinstance(block, Bottleneck)
        inner = self.hidden(f"{name}.conv", block.conv, self.hidden(f"{name}.reduce", block.reduce, unit))
        self.put(f"{name}.expand", block.expand, inner, unit)


def _shuffled(layer: nn.Conv2d, side: int) -> Array:
    """The row of a layer before a pixel shuffle that each row of a pack is."""
    index = nn.Conv2d(1, layer.out_channels, 1)
    index.bias = nn.Parameter(torch.arange(layer.out_channels).float())
    return unshuffled(index, side)[1].astype(int)


def _unfold(branch: Branch, given: torch.Tensor, added: torch.Tensor) -> None:
    """The inverse of `Branch._fold`: weights for a branch that multiplies by its units."""
    first = branch.up if isinstance(branch, Renderer) else branch.reduce
    last = branch.out if isinstance(branch, Renderer) else branch.expand
    assert isinstance(first, nn.Conv2d)
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    first.weight *= given[:, None, None]
    last.weight /= added[:, None, None, None]
    last.bias /= added
