"""Hidden units of bottlenecks that photographs never switch on are left out of a pack.

A ReLU that was below zero at every position of all calibration crops adds nothing to any of them, but is
computed all the same.  Training without a leak (`TrainConfig.leak`) leaves many such units, most of them
where the gradient is weakest (1/16).  The renderer's channels stay: they are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from calotype.lab.models.calotype_transforms import Bottleneck, Pointwise

GROUP = 16
"""Units stay in groups of so many: kernels compute them together anyway."""
Peaks = dict[str, Tensor]
"""By name of a bottleneck: the largest value ``[narrow]`` that each hidden unit had before its ReLU."""


@contextmanager
def watched(model: nn.Module) -> Iterator[Peaks]:
    """Follow the last hidden layer of every bottleneck while ``model`` runs."""
    peaks: Peaks = {}

    def follow(name: str, conv: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def note(_module: nn.Module, _given: tuple[Tensor, ...], out: Tensor) -> None:
            found = out.detach().amax((0, 2, 3))
            peaks[name] = torch.maximum(peaks[name], found) if name in peaks else found

        return conv.register_forward_hook(note)

    hooks = [follow(name, part.conv) for name, part in _bottlenecks(model)]
    try:
        yield peaks
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def drop(model: nn.Module, peaks: Peaks) -> dict[str, tuple[int, int]]:
    """Take the units out whose peak is not above zero; returns how many of how many each bottleneck keeps."""
    kept = {}
    for name, part in _bottlenecks(model):
        order = torch.argsort(peaks[name], descending=True, stable=True)
        alive = max(1, int((peaks[name] > 0).sum()))
        units = order[: min(len(order), -(-alive // GROUP) * GROUP)].sort().values
        kept[name] = (len(units), len(order))
        conv, expand = part.conv, part.expand
        assert conv.bias is not None
        slim = nn.Conv2d(conv.in_channels, len(units), 3, padding=1).to(conv.weight.device)
        slim.weight.copy_(conv.weight[units])
        slim.bias.copy_(conv.bias[units])
        out = Pointwise(len(units), expand.out_channels).to(conv.weight.device)
        out.weight.copy_(expand.weight[:, units])
        out.bias.copy_(expand.bias)
        part.conv, part.expand = slim, out.train(part.training)
    return kept


def _bottlenecks(model: nn.Module) -> list[tuple[str, Bottleneck]]:
    return [(name, part) for name, part in model.named_modules() if isinstance(part, Bottleneck)]
