"""Writes a pack: networks, tables, manifest (contract: docs/FORMAT.md, *Packs*)."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import HYPER
from calotype.lab.pack import loss
from calotype.lab.pack.exact import Array, ExportError, check_bounds, golden, integer_arrays
from calotype.lab.pack.fixed_analysis import encoder_arrays
from calotype.lab.pack.fixed_networks import FixedNetworks, golden_pixels
from calotype.lab.pack.folder import check_target, publish
from calotype.lab.pack.tables import Statistics, r_tables, z_tables
from calotype.lab.pack.trellis import HALF_STEP
from calotype.pack import CODER, FORMAT, HYPER_STRIDE, STEPS, STRIDE, Z_LIMIT
from calotype.pack import tables as contract
from calotype.pack.levels import CODING

TILE = 1024


def export(
    model: Calotype,
    statistics: Statistics,
    folder: Path,
    *,
    name: str = "photo",
    training: dict[str, Any] | None = None,
    calibration: tuple[Tensor, Tensor],
    pictures: Tensor | None = None,
    most: float = loss.MOST,
) -> str:
    """Write a pack and return its id.  ``folder`` appears whole or not at all; an existing pack is replaced.

    calibration: pictures ``[N, 3, H, W]`` (0..1, sides multiples of 128) and the levels ``[N]`` to code them
    at, which the units of all integers are chosen on.

    Raises:
        ExportError: if sums could overflow, a table breaks the contract, or integers lose more than ``most``.
        ValueError: when ``folder`` is there and is not a pack.
    """
    check_target(folder)
    model = copy.deepcopy(model).cpu().float().eval()
    model.to(memory_format=torch.contiguous_format)
    arrays = _level_arrays(model)
    bounds = check_bounds(model, arrays)
    fixed = FixedNetworks(model, *calibration)
    arrays |= fixed.tables(model)
    arrays["unit"] = fixed.unit.astype(np.float32)
    vectors = golden(model, arrays)
    vectors |= golden_pixels(fixed, arrays, vectors)
    arrays |= integer_arrays(model)
    for prefix, tables in (("r_", r_tables(statistics)), ("z_", z_tables(statistics))):
        arrays |= {prefix + key: value for key, value in tables.to_arrays().items()}

    files = {
        "tables": {**arrays, **vectors},
        "networks": fixed.arrays(),
        "encoder": encoder_arrays(model, *calibration),
    }
    record = {**(training or {}), "integer_bounds": bounds}
    if pictures is not None:
        record["integer_loss"] = loss.check(model, loss.InIntegers(files), pictures, most)
    fields = manifest(model, name) | {"training": record}
    try:
        contract.check(files["tables"], **{n: fields[n] for n in ("latents", "hyper_latents", "levels")})
    except ValueError as error:
        raise ExportError(f"no codec would read this pack: {error}") from error
    return publish(files, fields, folder)


def manifest(model: Calotype, name: str) -> dict[str, Any]:
    """The fields of the manifest that follow from the model."""
    c, anchors = model.config, len(model.config.lambdas)
    return {
        "format": FORMAT, "name": name, "coder": CODER, "latents": c.latents, "hyper_latents": HYPER,
        "stride": STRIDE, "hyper_stride": HYPER_STRIDE, "levels": anchors,
        "quality": [[0, 0], [100, STEPS * (anchors - 1)]], "z_limit": Z_LIMIT,
        # Patches, merge and split stay within a latent; a 3x3 kernel sees one position more on each side: at
        # 1/16, 1/8 or, in the renderer, 1/4.
        "analysis_margin": -(-c.analysis_blocks[0] // 2) + c.analysis_blocks[1],
        "synthesis_margin": c.synthesis_blocks[0] + -(-(2 * c.synthesis_blocks[1] + c.render_layers) // 4),
        "tile": TILE,
    }  # fmt: skip


def _level_arrays(model: Calotype) -> dict[str, Array]:
    """The arrays that a level interpolates."""
    levels = model.levels
    arrays: dict[str, Array] = {
        "half_step": np.array([HALF_STEP], np.float32),
    }
    with torch.no_grad():
        for name in ("low_gain", "high_gain"):
            log = getattr(levels, name.replace("gain", "log_gain"))
            arrays[name] = log.double().exp().numpy()
        arrays |= {name: levels.integers()[name].numpy().astype(np.int32) for name in CODING}
    return arrays
