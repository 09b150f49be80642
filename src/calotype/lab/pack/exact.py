"""The two proofs that a pack means the same everywhere: the integer bounds, and the golden vectors."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from calotype.errors import CalotypeError
from calotype.lab.layers.integer import EXACT, IntConv
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import RELU, Z_PEAK
from calotype.lab.models.calotype_levels import Knobs
from calotype.lab.pack.trellis import values
from calotype.pack import STEPS, Z_LIMIT
from calotype.pack.levels import CODING, interpolated

Array = npt.NDArray[Any]


class ExportError(CalotypeError):
    """The model must not become a pack; the message says why."""


def integer_layers(model: Calotype) -> dict[str, IntConv]:
    """All integer layers by the names that a pack has for them."""
    net, found = model.latents, {}
    for prefix, part in (("hyper", net.hyper_model), ("scales", net.scales)):
        for name, module in part.named_modules():
            if isinstance(module, IntConv):
                found[f"{prefix}.{name}"] = module
    return found


def integer_arrays(model: Calotype) -> dict[str, Array]:
    """Weights (int16 ``[out, in, k, k]``) and biases (int32 ``[out]``) of the integer layers."""
    arrays = {}
    for name, layer in integer_layers(model).items():
        weight, bias = (t.detach() for t in layer.integers())
        if name.startswith("hyper.own."):
            weight = weight * model.latents.hyper_model.lower
        arrays[f"{name}.weight"] = weight.numpy().astype(np.int16)
        if layer.bias.requires_grad:
            arrays[f"{name}.bias"] = bias.numpy().astype(np.int32)
        elif bias.any():
            raise ExportError(f"layer {name}: has a bias where the level's stands")
    return arrays


def check_bounds(model: Calotype, tables: dict[str, Array]) -> dict[str, float]:
    """Largest accumulator that each integer layer can reach, with the level's ``tables``.

    Raises:
        ExportError: if one reaches 2^24, where float32 stops being exact.
    """
    most = max(float(np.abs(tables[name]).max()) for name in CODING if name != "z_mul")
    step = np.abs(tables["z_mul"]).astype(np.float64)
    bounds = {"dequantise": Z_LIMIT * float(step.max())}
    # Its inverse, which locations are multiplied by (`quarters`).
    bounds["quarters"] = 2 * Z_PEAK * 2.0**20 / max(float(step.min()), 1e-3)
    for name, layer in integer_layers(model).items():
        hyper = name.startswith(("hyper.hidden", "hyper.linear", "hyper.own")) or name == "scales.wide"
        bounds[name] = layer.bound(Z_PEAK if hyper else RELU) + (0 if layer.bias.requires_grad else most)
    # The location of z is the sum of three layers.
    bounds["hyper.location"] = 3 * max(
        bound
        for name, bound in bounds.items()
        if name.startswith(("hyper.linear", "hyper.place", "hyper.own"))
    )
    for name, bound in bounds.items():
        if bound + 2.0**10 >= EXACT:  # room for the half that rounding adds, before the shift
            raise ExportError(
                f"integer layer {name}: sums can reach {bound:.0f} and are exact only below {EXACT}: "
                "its weights are too large"
            )
    return bounds


def knobs(tables: dict[str, Array], level: int) -> Knobs:
    """The integers of a level in float64, as the walk takes them; gains are left out."""
    empty = torch.empty(0)
    exact = {
        name: torch.from_numpy(interpolated(tables[name], level)).double()[None, ..., None, None]
        for name in CODING
    }
    return Knobs(**{f.name: exact.get(f.name, empty) for f in fields(Knobs)})


def golden(model: Calotype, tables: dict[str, Array]) -> dict[str, Array]:
    """Random integers, some at the limits, and what codes them, computed by torch in float64, which is told
    the numbers of residuals.

    golden_level I32 [G], golden_z I32 [G, K, 4, 4], golden_r I16 [G, M, 8, 8]; golden_z_table U8 and
    golden_z_shift I32 of z's shape, golden_index U8 of r's.
    """
    rng = np.random.default_rng(20261121)
    top = STEPS * (len(tables["z_mul"]) - 1)
    levels = np.array([0, min(STEPS + 101, top - 1), top // 2 + 77, top], np.int32)
    shape, size = (len(levels), tables["z_mul"].shape[1], 4, 4), (len(levels), model.config.latents, 8, 8)
    z = np.round(rng.normal(0, 6, shape)).astype(np.int32)
    z[:, 0, ::3, 0], z[:, 1, ::3, 1] = Z_LIMIT, -Z_LIMIT
    r = np.round(rng.laplace(0, rng.choice([0.1, 0.5, 2.0, 20.0], (*size[:2], 1, 1)), size)).astype(np.int16)
    net = model.latents.double()
    found: list[list[Array]] = []
    with torch.no_grad():
        for k, level in enumerate(levels):
            while True:  # until nothing is left to forbid: once more for every phase at most
                given = (torch.from_numpy(t[k : k + 1].astype(np.float64)) for t in (z, r))
                out = [t[0].numpy() for t in net.classes(*given, knobs(tables, int(level)))]
                forbidden = (out[2] == 0) & (r[k] != 0)
                if not forbidden.any():
                    break
                r[k][forbidden] = 0
            r[k] = values(r[k], out[2])
            found.append(out)
    net.float()
    table, shift, index = (np.stack(t) for t in zip(*found, strict=True))
    return {
        "golden_level": levels, "golden_z": z, "golden_r": r, "golden_z_table": table.astype(np.uint8),
        "golden_z_shift": shift.astype(np.int32), "golden_index": index.astype(np.uint8),
    }  # fmt: skip
