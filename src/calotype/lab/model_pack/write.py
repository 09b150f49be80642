"""``lab export`` of a published system: a pack that the codec runs without torch.

What is promised is what the product's pack promises: classes of latents come from a network in integers,
whose sums are exact on every machine, so every machine reads the same symbols; pixels have rounding noise.
The symbols are those of the laboratory: the same transforms and means, in float32.  Only sigma is rounded
otherwise (by a percent or so), which costs a little rate; and the border of a picture that is no multiple of
64, and those of tiles, are padded otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab import registry
from calotype.lab.analysis.complexity import receptive_field
from calotype.lab.codec import exact, model_id
from calotype.lab.entropy import log_scales
from calotype.lab.model_pack.graphs import Constant, graphs
from calotype.lab.model_pack.integer import SUM, Integers, golden
from calotype.lab.model_pack.side import Side, side_of
from calotype.lab.models.base import LabModel
from calotype.lab.pack.exact import ExportError
from calotype.lab.pack.folder import check_target, publish
from calotype.lab.pack.write import TILE

Arrays = dict[str, np.ndarray]
LEVELS = 2
"""Of a pack; here they are the same."""
MAX_CLASSES = 255
FIELD = 512
"""Pixels to look for receptive fields in."""


def export(
    model: LabModel,
    crops: Iterable[Tensor],
    folder: Path,
    *,
    name: str | None = None,
    training: dict[str, Any] | None = None,
) -> str:
    """Write the pack of a system and return its id.  ``folder`` appears whole or not at all.

    crops: photographs ``[B, 3, H, W]`` in 0..1, sides multiples of 64, which say how large the activations of
    the network of probabilities get.

    Raises:
        NotForPacks: for a system that cannot become one.
        ExportError: if ONNX Runtime computes other classes than torch does in float64.
        ValueError: when ``folder`` is there and is not a pack.
    """
    check_target(folder)
    margins = _margins(model)
    identity = model_id(model).hex()
    model = copy.deepcopy(model).cpu().float().eval()
    twin = exact(model)
    side = side_of(model)
    if side.h_s is None:
        tables, classes = _channel_tables(twin.prior)
        scales: nn.Module = Constant(torch.from_numpy(classes))
        bounds: list[float] = []
    else:
        z = [_hyper_latents(side, model, x) for x in crops]
        if not z:
            raise ValueError("an export needs photographs (--data)")
        side.z_limit = int(np.clip(2 * max(float(t.abs().max()) for t in z), 15, 255))
        seen = (t.clamp(-side.z_limit, side.z_limit) for t in z)
        scales = Integers(twin.h_s, side.z_median.double(), side.latents, seen, side.z_limit)
        tables, bounds = {**_sigma_tables(), **_hyper_tables(twin.prior)}, scales.bounds
        assert max(bounds) < SUM
    vectors = dict(zip(("golden_z", "golden_index"), golden(scales, side.hyper_latents, side.z_limit)))
    files = graphs(model.g_a, model.g_s, side, scales)
    _check(files["scales"], vectors)
    vectors["golden_level"] = np.array([0, 100, 256], np.int32)
    arrays = {**tables, **vectors, **_level_arrays(side, len(tables["r_lengths"]))}
    fields = {
        "format": 1, "name": name or model.name, "coder": 1,
        "latents": side.latents, "hyper_latents": side.hyper_latents, "stride": 16, "hyper_stride": 64,
        "levels": LEVELS, "quality": [[0, 0], [100, 256]], "z_limit": side.z_limit,
        "analysis_margin": margins[0], "synthesis_margin": margins[1], "tile": TILE,
        "training": {
            **(training or {}), "system": model.name, "config": model.config, "model": identity,
            "integer_bounds": bounds,
        },
    }  # fmt: skip
    return publish(files, arrays, fields, folder)


def _level_arrays(side: Side, classes: int) -> Arrays:
    """A system has one rate: no gain, nothing that a level would change."""
    m, z = side.latents, side.hyper_latents
    return {
        "gain": np.ones((LEVELS, m)), "inv_gain": np.ones((LEVELS, m)), "z_gain": np.ones((LEVELS, z)),
        "z_mul": np.ones((LEVELS, z), np.int32), "bias": np.zeros((LEVELS, m), np.int32),
        "level_vector": np.zeros((LEVELS, 1), np.float32),
        "keep": np.arange(classes).clip(0, 1).astype(np.float32),
    }  # fmt: skip


@torch.no_grad()
def _hyper_latents(side: Side, model: LabModel, x: Tensor) -> Tensor:
    assert side.h_a is not None
    y = model.g_a(x)
    return torch.round(side.h_a(y.abs() if side.absolute else y) - side.z_median[None, :, None, None])


def _sigma_tables() -> Arrays:
    """Class 0, which nothing is coded in, and those of the 64 scales."""
    from calotype.coder import gaussian_tables

    arrays = gaussian_tables(log_scales()).to_arrays()
    return _prefixed("r_", _with_unused(arrays))


def _hyper_tables(prior: Any) -> Arrays:
    arrays = prior.tables().to_arrays()
    return _prefixed("z_", {key: np.tile(array, LEVELS) for key, array in arrays.items()})


def _channel_tables(prior: Any) -> tuple[Arrays, np.ndarray]:
    """Tables of a factorized prior, equal ones once, and the class of each channel; a z that is always 0."""
    from calotype.coder import TableSet

    arrays = prior.tables().to_arrays()
    ends = np.cumsum(arrays["lengths"])
    rows = np.split(arrays["frequencies"], ends[:-1].astype(int))
    found: dict[tuple[int, bytes], int] = {}
    classes = np.array(
        [
            found.setdefault((int(offset), row.tobytes()), len(found) + 1)
            for row, offset in zip(rows, arrays["offsets"])
        ],
        np.int64,
    )
    if len(found) > MAX_CLASSES:
        raise ExportError(f"{len(found)} channels with distributions of their own; a pack has {MAX_CLASSES}")
    kept = [int(np.flatnonzero(classes == number)[0]) for number in range(1, len(found) + 1)]
    unique = TableSet.from_frequencies(
        np.concatenate([rows[i] for i in kept]), arrays["lengths"][kept], arrays["offsets"][kept]
    ).to_arrays()
    nothing = TableSet([[2.0**-20, 1 - 2.0**-18, 2.0**-20, 2.0**-19]], [-1]).to_arrays()
    z = {key: np.tile(array, LEVELS) for key, array in nothing.items()}
    return {**_prefixed("r_", _with_unused(unique)), **_prefixed("z_", z)}, classes


def _with_unused(arrays: Arrays) -> Arrays:
    """The same tables as numbers 1, 2, ...; number 0 is a copy of the first."""
    first = {"frequencies": int(arrays["lengths"][0]), "lengths": 1, "offsets": 1}
    return {key: np.concatenate((array[: first[key]], array)) for key, array in arrays.items()}


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {prefix + key: array for key, array in arrays.items()}


def _margins(model: LabModel) -> tuple[int, int]:
    """Latents by which windows of analysis and synthesis must overlap: half of the receptive fields."""
    thin = registry.build(model.name, **{**model.config, **registry.entry(model.name).thin})
    pixels = max(receptive_field(thin.g_a, 3, FIELD))
    channels = thin.config.get("m", thin.config["n"])
    seen = max(receptive_field(thin.g_s, channels, FIELD // 16, 1))
    if pixels >= FIELD or seen >= FIELD // 16:
        raise ExportError(f"{model.name}: the transforms see the whole picture; a pack works in windows")
    return -(-(pixels // 2) // 16), seen // 2 + 1


def _check(graph: bytes, vectors: Arrays) -> None:
    """Classes of the golden hyper-latents in ONNX Runtime, with and without its optimisations."""
    import onnxruntime as ort

    levels = ort.GraphOptimizationLevel
    for optimisation in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level, options.intra_op_num_threads = optimisation, 1
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for z, index in zip(vectors["golden_z"], vectors["golden_index"]):
            (got,) = session.run(None, {"z": z[None].astype(np.float32)})
            if wrong := int((got[0] != index).sum()):
                raise ExportError(f"{wrong} of {index.size} classes differ in ONNX Runtime")
