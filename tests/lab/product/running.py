"""Graphs and levels as the tests of packs run them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from onnxruntime import SessionOptions

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_levels import Knobs


def session(data: bytes, optimisation: Any = None, threads: int = 1) -> ort.InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    if optimisation is not None:
        options.graph_optimization_level = optimisation
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(data: bytes | ort.InferenceSession, **feeds: Any) -> list[np.ndarray]:
    ready = session(data) if isinstance(data, bytes) else data
    given = {node.name: np.ascontiguousarray(feeds[node.name], _kind(node)) for node in ready.get_inputs()}
    return [np.asarray(t) for t in ready.run(None, given)]


def _kind(node: Any) -> type:
    return np.uint8 if "uint8" in node.type else np.float32


@torch.no_grad()
def level(model: Calotype, at: float) -> tuple[Knobs, dict[str, np.ndarray]]:
    """In torch, and as inputs of graphs."""
    k = model.levels(torch.tensor([at]))
    feeds = {name: value[0, ..., 0, 0].numpy() for name, value in vars(k).items()}
    return k, {**feeds, "level": feeds["vector"]}


def inside(height: int, width: int) -> np.ndarray:
    found = np.zeros((1, 1, height + -height % 8, width + -width % 8), np.float32)
    found[..., :height, :width] = 1
    return found
