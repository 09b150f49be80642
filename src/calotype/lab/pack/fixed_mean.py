"""The means of the latents in fixed point, along the walk: `fixed` has the layers, docs/FORMAT.md the rules.

All that this network reads and hides are words of 12 bits and a sign; means are in the units of the latents.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype_latents import Z_PEAK, Z_UNIT, Mean
from calotype.lab.models.calotype_levels import steps_of
from calotype.lab.models.calotype_walk import LOW, LOW_OCTAVES, PHASES, Stage, join_phases, split_phases, walk
from calotype.lab.pack.calibrate import Array, bias, samples, weight
from calotype.lab.pack.fixed import CONTEXT, CONTEXT_SHIFT, Layer, context, quantised, units, words
from calotype.pack.levels import OCTAVES, STEP_SHIFT

Seen = Callable[[nn.Module], tuple[Tensor, Tensor]]
"""What a module of the float network read and gave while calibrating."""


class FixedMean:
    """Made from the float network.

    unit: of the latents, ``[M]``
    seen: what its modules read and gave
    """

    def __init__(self, net: Mean, unit: Array, seen: Seen) -> None:
        n = net.REDUCED
        read = unit * 2**CONTEXT_SHIFT
        low, high = read[:LOW], unit[LOW:]
        self.unit = unit
        self.base = np.rint(net.base.detach().double().numpy() / unit[:LOW])
        made: dict[str, Layer] = {}

        def make(name: str, layer: nn.Module, unit_in: Array, unit_out: Array, peak: int = CONTEXT) -> Array:
            mean = samples(seen(layer)[0]).mean(0)
            made[name] = quantised(weight(layer), bias(layer), unit_in, unit_out, "words", mean, peak)
            return unit_out

        def hidden(layer: nn.Module) -> Array:
            return units(samples(seen(layer)[1]), CONTEXT)

        for s, layer in enumerate(net.low):
            known = np.tile(low, 1 + s % 3)
            t = make(f"low.{s}", layer, known, hidden(layer))
            far = make(f"low_far.{s}", net.low_far[s], t, hidden(net.low_far[s]))
            make(f"low_out.{s}", net.low_out[s], np.concatenate((t, t, far)), unit[:LOW])
        d = np.full(len(weight(net.wide)[0]), 1 / Z_UNIT)
        wide = make("wide", net.wide, d, hidden(net.wide), Z_PEAK)
        features = [make("up", net.up, wide, hidden(net.up))]
        for p, layer in enumerate(net.reduce):
            features.append(make(f"reduce.{p}", layer, read, hidden(layer)))
        for p, layer in enumerate(net.conv):
            known = np.concatenate([*features[: p + 1], *[low] * (len(PHASES) - p)])
            t = make(f"conv.{p}", layer, known, hidden(layer))
            make(f"out.{p}", net.out[p], np.concatenate((t, t)), high)
        self._layers, self.reduced = made, n

    def layers(self) -> dict[str, Layer]:
        """All layers by name."""
        return self._layers

    def _run(self, name: str, parts: list[Tensor]) -> Tensor:
        return self._layers[name](torch.cat(parts, 1))

    def low_stage(self, stage: Stage, known: list[Tensor], like: Tensor) -> Tensor:
        """Means of low channels; ``known``: words of the phases before."""
        if not known:
            return torch.from_numpy(self.base)[:, None, None].expand_as(like)
        s = stage.number - 1
        t = words(self._run(f"low.{s}", [context(x) for x in known]), CONTEXT)
        near = F.relu(t)
        far = F.relu(words(self._run(f"low_far.{s}", [near]), CONTEXT))
        return words(self._run(f"low_out.{s}", [t, near, far]))

    def restore(self, d: Tensor, r: Tensor, inside: Tensor, low_step: Tensor, high_step: Tensor) -> Tensor:
        """Dequantised z ``[1, K, a, b]``, residuals ``[1, M, 2a, 2b]`` (multiples of 8) and steps ``[4, C]``
        to latents, words.  All float64; ``inside`` ``[1, 1, 2a, 2b]`` is 0 in the padding.
        """

        def latent(mean: Tensor, r: Tensor, step: Tensor, real: Tensor) -> Tensor:
            part = torch.floor((r * step[:, None, None] + 2 ** (STEP_SHIFT - 1)) / 2**STEP_SHIFT)
            return words(mean + part) * real

        def low(stage: Stage, known: list[Tensor]) -> Tensor:
            part = stage.pick(r[:, :LOW])
            mean = self.low_stage(stage, known, part)
            return latent(mean, part, low_step[steps_of(stage)], stage.pick(inside))

        low_parts = split_phases(walk(LOW_OCTAVES, low))
        near = [context(x) for x in low_parts]
        wide = F.relu(words(self._run("wide", [d]), CONTEXT))
        features, maps = [words(self._run("up", [wide]), CONTEXT)], list[Tensor]()
        high, real = split_phases(r[:, LOW:]), split_phases(inside)
        for p in range(len(PHASES)):
            if p:
                known = [near[p - 1], context(maps[-1])]
                features.append(words(self._run(f"reduce.{p - 1}", known), CONTEXT))
            t = words(self._run(f"conv.{p}", [*features, *near[p:]]), CONTEXT)
            mean = words(self._run(f"out.{p}", [t, F.relu(t)]))
            maps.append(latent(mean, high[p], high_step[p], real[p]))
        return torch.cat((join_phases(low_parts), join_phases(maps)), 1)


def log_steps(inv_gain: Array, unit: Array) -> Array:
    """Logarithms of steps as integers, in 1/65536 octaves; ``inv_gain`` ``[..., C]``, ``unit`` ``[C]``."""
    logs = np.rint(65536 * np.log2(inv_gain / unit * 2**STEP_SHIFT))
    return np.asarray(np.clip(logs, 0, (OCTAVES << 16) - 1))
