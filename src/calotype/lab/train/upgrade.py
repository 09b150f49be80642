"""Weights of an earlier definition of the product's model, for a new run to begin with.

The earlier definition (November 2026): two bottlenecks at 1/16 on either side, four at 1/8, no renderer, and
most of their hidden units off.  The linear path of both transforms, all latent networks and what the level
sets carry over by name; branches are drawn afresh and add nothing at first.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from calotype.lab.checkpoint import CheckpointError
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Branch
from calotype.lab.train.state import State

TOLD = (
    "the weights are of an earlier definition of the model: the linear path of the transforms, the latent "
    "networks and what the level sets are taken; the branches are drawn afresh"
)
RENDERER = "synthesis.render.up.weight"


def earlier(state: State, model: nn.Module) -> bool:
    """Whether a state's weights are of the earlier definition of ``model``."""
    return RENDERER in model.state_dict() and RENDERER not in state.ema


@torch.no_grad()
def upgraded(state: State, model: Calotype) -> State:
    """The state, with averaged weights of today's definition.

    model: fresh; changed.

    Raises:
        CheckpointError: when sizes differ, or something is missing.
    """
    old, own = state.ema, model.state_dict()
    branches = [name for name, part in model.named_modules() if isinstance(part, Branch)]
    for name, value in own.items():
        if not name.startswith(tuple(f"{branch}." for branch in branches)):
            value.copy_(_like(old, name, value.shape))
    for net in (model.analysis, model.synthesis):
        which = "analysis" if net is model.analysis else "synthesis"
        for row in ("blocks8", "blocks16"):
            _fit(getattr(net, row), old, f"{which}.{row}.0.")
    model.synthesis.render.given.copy_(model.synthesis.blocks8[0].given)  # type: ignore[arg-type]
    return replace(state, ema=own)


def _fit(blocks: nn.Sequential, old: dict[str, Tensor], prefix: str) -> None:
    """Give all blocks the units that the first one had."""
    for block in blocks:
        assert isinstance(block, Branch)
        for name in ("given", "added"):
            value = getattr(block, name)
            value.copy_(_like(old, prefix + name, value.shape))


def _like(old: dict[str, Tensor], name: str, shape: torch.Size) -> Tensor:
    """A tensor of the earlier weights that must have a shape."""
    if name not in old or old[name].shape != shape:
        found = f"{list(old[name].shape)}, not {list(shape)}" if name in old else "missing"
        raise CheckpointError(f"the checkpoint: of another model ({name} is {found})")
    return old[name]
