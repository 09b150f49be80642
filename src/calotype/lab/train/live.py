"""How many hidden units are at work: on at some positions and off at others.

A unit that is off everywhere adds nothing and has no slope to come back by; one that is on everywhere is
linear.  Training can push many there without the loss showing it at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch

from torch import Tensor, nn

from calotype.lab.models.base import System

LAYERS = ("*.reduce", "*.conv", "*.render.up", "*.render.convs.*")
"""Layers before an activation, by patterns of their names within a transform; a model may have others, as
``hidden_layers``."""
OFTEN = 0.02
"""A unit is live that is above zero at this fraction of the positions and below at as many."""
Units = dict[str, tuple[int, int]]
"""Live units and all, by layer."""


class Watch:
    """What hidden layers gave while a model ran."""

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.above: dict[str, Tensor] = {}

    def add(self, name: str, out: Tensor) -> None:
        """Count the units above zero in a layer's output ``[B, C, H, W]``."""
        above = (out.detach() > 0).sum((0, 2, 3))
        self.above[name] = self.above[name] + above if name in self.above else above
        self.positions[name] = self.positions.get(name, 0) + out[:, 0].numel()

    def units(self) -> Units:
        """Live units and all, by layer."""
        found = {}
        for name, above in self.above.items():
            share = above / self.positions[name]
            live = (share >= OFTEN) & (share <= 1 - OFTEN)
            found[name] = int(live.sum()), len(share)
        return found


@contextmanager
def watched(model: System) -> Iterator[Watch]:
    """Count in the hidden layers of the model's transforms for the time of a ``with``."""
    watch, hooks = Watch(), []
    patterns = getattr(model, "hidden_layers", LAYERS)
    names = {id(module): name for name, module in model.named_modules()}
    for part in model.heavy():
        for module in part.modules():
            name = names[id(module)]
            if isinstance(module, nn.Conv2d) and any(fnmatch(name, pattern) for pattern in patterns):
                hooks.append(module.register_forward_hook(_note(watch, name)))
    try:
        yield watch
    finally:
        for hook in hooks:
            hook.remove()


def _note(watch: Watch, name: str) -> object:
    def note(_module: nn.Module, _given: tuple[Tensor, ...], out: Tensor) -> None:
        watch.add(name, out)

    return note


def told(units: Units) -> str:
    """In a line, for people."""
    live, everything = (sum(n[k] for n in units.values()) for k in (0, 1))
    name, (few, of) = min(units.items(), key=lambda item: item[1][0] / item[1][1])
    return f"{live} of {everything} hidden units live; fewest in {name}, {few} of {of}"
