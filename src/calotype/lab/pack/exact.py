"""The two proofs that a pack means the same everywhere: the integer bounds, and the golden vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from calotype.lab.layers.integer import EXACT
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import Z_PEAK
from calotype.lab.pack.graphs import frozen_scales

Array = npt.NDArray[Any]
STEPS = 256
"""Levels from one trained level to the next."""


class ExportError(ValueError):
    """The model must not become a pack; the message says why."""


def check_bounds(model: Calotype, z_mul: Array, bias: Array, z_limit: int) -> dict[str, float]:
    """Largest accumulator that each integer layer can reach; ``z_mul`` ``[L, 64]`` and ``bias`` ``[L, M]``
    integers.

    Raises:
        ExportError: if one reaches 2^24, where float32 stops being exact.
    """
    scales = model.scales
    bounds = {
        "dequantise": z_limit * float(np.abs(z_mul).max()),
        "wide": scales.wide.bound(Z_PEAK),
        "up": scales.up.bound(255),
        "near": scales.near.bound(255),
        "out": scales.out.bound(255) + float(np.abs(bias).max()),
    }
    for name, bound in bounds.items():
        if bound + 2.0**10 >= EXACT:  # room for the half that rounding adds, before the shift
            raise ExportError(
                f"scales layer {name}: sums can reach {bound:.0f} and are exact only below {EXACT}: "
                "its weights are too large"
            )
    return bounds


def at(table: Array, level: int) -> npt.NDArray[np.int64]:
    """Exact interpolation of integers ``[L, n]`` between trained levels, as in calotype.codec.levels:
    ``[n]``.
    """
    a, f = divmod(level, STEPS)
    b = min(a + 1, len(table) - 1)
    mixed = table[a].astype(np.int64) * (STEPS - f) + table[b].astype(np.int64) * f
    return np.asarray((mixed + STEPS // 2) >> 8, np.int64)


def golden(model: Calotype, z_mul: Array, bias: Array, z_limit: int) -> dict[str, Array]:
    """Random hyper-latents, some at the limits, and their sigma indices computed by torch in float64.

    golden_level I32 [G], golden_z I32 [G, 64, 3, 3], golden_index U8 [G, M, 12, 12].
    """
    rng = np.random.default_rng(20261121)
    top = STEPS * (len(z_mul) - 1)
    levels = np.array([0, min(STEPS + 101, top - 1), top // 2 + 77, top], np.int32)
    z = np.round(rng.normal(0, 12, (len(levels), z_mul.shape[1], 3, 3))).astype(np.int32)
    z[:, ::7, 0, 0], z[:, 3::11, 1, 1] = z_limit, -z_limit
    scales = frozen_scales(model).double()
    index = []
    with torch.no_grad():
        for k, level in enumerate(levels):
            knobs = (torch.from_numpy(at(t, int(level))).double()[None, :, None, None] for t in (z_mul, bias))
            out = scales(torch.from_numpy(z[k : k + 1]).double(), *knobs)
            index.append(out[0].numpy().astype(np.uint8))
    return {"golden_level": levels, "golden_z": z, "golden_index": np.stack(index)}


def check_golden(graph: bytes, vectors: dict[str, Array], z_mul: Array, bias: Array) -> None:
    """Run the exported scales graph on the golden vectors, with and without the runtime's optimisations.

    Raises:
        ExportError: if one index differs from torch's in float64.
    """
    import onnxruntime as ort

    for optimisation in (
        ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    ):
        options = ort.SessionOptions()
        options.graph_optimization_level, options.intra_op_num_threads = optimisation, 1
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for k, level in enumerate(vectors["golden_level"]):
            feeds = {
                "z": vectors["golden_z"][k : k + 1],
                "z_mul": at(z_mul, int(level)),
                "bias": at(bias, int(level)),
            }
            (got,) = session.run(None, {name: value.astype(np.float32) for name, value in feeds.items()})
            wrong = int((got[0] != vectors["golden_index"][k]).sum())
            if wrong:
                raise ExportError(
                    f"golden vector {k}: {wrong} of {got[0].size} sigma indices differ in ONNX Runtime"
                )
