"""What a system of the registry is and costs: `calotype lab describe`."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.analysis import complexity


def describe(name: str, size: tuple[int, int] = (256, 256), **config: Any) -> dict[str, Any]:
    """Everything that can be said of a system without training it, as plain values for printing or JSON.

    kMACs are per pixel of a picture of ``size`` (rows, columns), by part, in three counting rules
    (`calotype.lab.analysis.complexity`); the receptive field is that of one latent, in pixels.
    """
    e = registry.entry(name)
    with torch.device("meta"):
        model = registry.build(name, **config)
    try:
        thin = registry.build(name, **{**config, **e.thin})
    except registry.UnknownModel:  # sizes that fit, but not to the thin ones
        thin = registry.build(name, **config)
    kmacs, latents = complexity.costs(model, size)
    module = importlib.import_module(type(model).__module__)
    return {
        "name": name,
        "summary": e.summary,
        "citation": e.citation,
        "config": model.settings(),
        "high": e.high,
        "document": (module.__doc__ or "").strip(),
        "file": f"calotype/lab/models/{e.model.__module__.rpartition('.')[2]}.py",
        "multiple": model.multiple,
        "quantisation": model.quantisation,
        "parameters": complexity.parameters(model),
        "parameters_by_part": complexity.part_parameters(model),
        "kmacs_per_pixel": kmacs,
        "latents": latents,
        "receptive_field": complexity.receptive_field(thin.analyse_part(), 3, 512),
    }
