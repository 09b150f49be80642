"""Weights of an earlier definition of the product's model, for a new run to begin with.

Transforms, gains and level vectors carry over by name, and so do the layers of the latent networks that are
still there.  What is new starts in closed form (`calotype.lab.models.calotype_start`).

The earlier definition (up to November 2026): 64 hyper-latents at 1/64, one set of gains, every channel in the
four phases of one 2x2 grid.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from calotype.lab.checkpoint import CheckpointError
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_start import Sampler, set_gains, start_latents
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.train.state import State

TOLD = (
    "the weights are of an earlier definition of the model.  Taken: transforms, gains, level vectors, hidden "
    "layers of the hyper-analysis, means of high channels from the phases before.  Started in closed form: "
    "hyper-model, scales, means of low channels"
)
LAYERS = {"hyper.reduce": "latents.hyper.reduce", "hyper.conv": "latents.hyper.conv"}
LAYERS |= {f"mean.reduce.{p}": f"latents.mean.reduce.{p}" for p in range(3)}
"""Layers of the latent networks that carry over as they are, by their earlier names."""


def earlier(state: State) -> bool:
    """Whether a state's weights are of the earlier definition."""
    return "levels.log_gain" in state.ema


@torch.no_grad()
def upgraded(state: State, model: Calotype, pictures: Sampler, batches: int) -> State:
    """The state, with averaged weights of today's definition.

    model:    fresh, on the CPU; changed.
    pictures: what the latent networks are started on, as for `calotype_start.start`; ``batches`` of them.

    Raises:
        CheckpointError: when sizes differ, or something is missing.
    """
    old, own = state.ema, model.state_dict()
    for name, value in own.items():
        if name.startswith(("analysis.", "synthesis.")) or name == "levels.vector":
            value.copy_(_like(old, name, value.shape))
    anchors, channels = own["levels.vector"].shape
    log_gain, log_inv_gain = (
        _like(old, f"levels.{name}", torch.Size((anchors, channels))) for name in ("log_gain", "log_inv_gain")
    )
    for level in range(anchors):
        set_gains(model, level, log_gain[level])
    shift = (log_inv_gain + log_gain)[:, None]
    model.levels.low_log_inv_gain += shift[..., :LOW]
    model.levels.high_log_inv_gain += shift[..., LOW:]

    @functools.lru_cache(batches)
    def latents(seed: int) -> Tensor:
        y: Tensor = model.analysis(pictures(seed))
        return y

    _layers(old, own, "hyper.")
    start_latents(model, latents, batches)
    _layers(old, own, "")
    _means(old, model)
    return replace(state, ema=own)


def _like(old: Mapping[str, Tensor], name: str, shape: torch.Size) -> Tensor:
    """A tensor of the earlier weights that must have a shape."""
    if name not in old or old[name].shape != shape:
        found = f"{list(old[name].shape)}, not {list(shape)}" if name in old else "missing"
        raise CheckpointError(f"the checkpoint: of another model ({name} is {found})")
    return old[name]


def _layers(old: Mapping[str, Tensor], own: Mapping[str, Tensor], prefix: str) -> None:
    for before, now in LAYERS.items():
        if before.startswith(prefix):
            for part in ("weight", "bias"):
                value = own[f"{now}.{part}"]
                value.copy_(_like(old, f"{before}.{part}", value.shape))


def _means(old: Mapping[str, Tensor], model: Calotype) -> None:
    """Means of the high channels as they were from the phases before; nothing yet from the features of z,
    whose meaning has changed, nor from the low channels.
    """
    mean = model.latents.mean
    n, h, m = mean.REDUCED, mean.HIDDEN, model.config.latents
    for p, (conv, out) in enumerate(zip(mean.conv, mean.out, strict=True)):
        assert isinstance(conv, torch.nn.Conv2d)
        assert isinstance(out, torch.nn.Conv2d)
        assert conv.bias is not None
        assert out.bias is not None
        conv.weight.zero_()
        kernels = _like(old, f"mean.conv.{p}.weight", torch.Size((h, n * (1 + p), 3, 3)))
        conv.weight[:, n : n * (1 + p)] = kernels[:, n:]
        conv.bias.copy_(_like(old, f"mean.conv.{p}.bias", conv.bias.shape))
        out.weight.copy_(_like(old, f"mean.out.{p}.weight", torch.Size((m, 2 * h, 1, 1)))[LOW:])
        out.bias.copy_(_like(old, f"mean.out.{p}.bias", torch.Size((m,)))[LOW:])
