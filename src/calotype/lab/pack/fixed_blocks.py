"""What both transforms consist of, in fixed point: a stream of words, with a unit for each channel, and
bottlenecks on it that hide bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.models.calotype_transforms import Bottleneck
from calotype.lab.pack.calibrate import Array, bias, equalise, samples, weight
from calotype.lab.pack.fixed import Layer, bytes_, finest, quantised, units, words


class Block:
    """A bottleneck on a stream of words."""

    def __init__(self, block: Bottleneck, seen: Seen, unit: Array, hidden: tuple[Array, Array]) -> None:
        unit1, unit2 = hidden
        first, second = (samples(seen.into(layer)).mean(0) for layer in (block.conv, block.expand))
        mean = samples(seen.into(block.reduce)).mean(0)
        self.reduce = quantised(weight(block.reduce), bias(block.reduce), unit, unit1, "words", mean)
        self.conv = quantised(weight(block.conv), bias(block.conv), unit1, unit2, "bytes", first)
        self.expand = quantised(weight(block.expand), bias(block.expand), unit2, unit, "bytes", second)

    def layers(self) -> dict[str, Layer]:
        return {"reduce": self.reduce, "conv": self.conv, "expand": self.expand}

    def __call__(self, x: Tensor) -> Tensor:
        return words(x + self.expand(bytes_(self.conv(bytes_(self.reduce(x))))))


def hidden_units(block: Bottleneck, seen: Seen, given: Sequence[Array] | None = None) -> tuple[Array, Array]:
    """Units of what a bottleneck hides; ``given``: those that training rounded to."""
    first, second = (samples(seen.into(layer)) for layer in (block.conv, block.expand))
    unit = byte_units(first, weight(block.conv)) if given is None else given[0]
    least = finest(weight(block.conv), unit)
    if given is not None:
        return unit, np.maximum(given[1], least)
    return unit, byte_units(second, weight(block.expand), least)


def stream_units(maps: list[Tensor], least: list[Array]) -> Array:
    """Units of a stream whose values are ``maps``, and which sums in units ``least`` / 2 are added to."""
    unit = units(np.concatenate([samples(t) for t in maps]))
    return np.asarray(np.max([unit, *least], axis=0))


def byte_units(x: Array, reader: Array, least: Array | float = 0.0) -> Array:
    """Units of hidden channels that are bytes, for samples ``[positions, channels]`` (not negative) and the
    weights ``[out, channels, taps]`` of the layer that reads them.
    """
    divisor, (steps,) = equalise([(x, reader)])
    return np.asarray(np.maximum(divisor * steps.scale, least))


class Seen:
    """What the modules of a network read and gave for what it was given."""

    @torch.no_grad()
    def __init__(self, net: nn.Module, *given: Tensor) -> None:
        self._into: dict[nn.Module, Tensor] = {}
        self._of: dict[nn.Module, Tensor] = {}

        def note(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
            self._into[module], self._of[module] = given[0], out

        hooks = [module.register_forward_hook(note) for module in net.modules() if module is not net]
        net(*given)
        for hook in hooks:
            hook.remove()

    def into(self, module: nn.Module) -> Tensor:
        return self._into[module]

    def of(self, module: nn.Module) -> Tensor:
        return self._of[module]
