"""Running the networks of a pack with ONNX Runtime, on the CPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.errors import PackError

_LEVEL = (
    "z_mul", "low_gain", "low_bias", "high_gain", "high_bias", "z_place", "z_scale",
)  # fmt: skip
#: What each graph may ask for, and what it gives: the signatures in calotype.codec.pack.
INPUTS: dict[str, tuple[str, ...]] = {
    "analysis": ("pixels",),
    "hyper_encoder": ("y", "inside", *_LEVEL),
    "synthesis": ("y_hat", "level"),
}
OUTPUTS = {"analysis": "y", "hyper_encoder": "z", "synthesis": "pixels"}
_BYTES = ("pixels",)

OPTIMISATION = 99
"""ONNX Runtime's graph optimisation: 0 none, 1 basic, 2 extended, 99 all."""


class Graph:
    """One network, ready to run; ``run`` may be called from several threads at once.

    name:    one of ``INPUTS``, or that and ``.int8``
    data:    the ONNX file
    threads: how many threads one call of ``run`` uses

    Raises PackError when the file is not a network of the signature that `name` asks for.
    """

    def __init__(self, name: str, data: bytes, threads: int = 1, optimisation: int = OPTIMISATION) -> None:
        try:
            self._session: Any = session(data, threads, optimisation)
        except Exception as error:  # ONNX Runtime has a dozen exception types without a common base
            raise PackError(f"{name}.onnx does not load: {_first_line(error)}") from error
        self.name = name
        kind = name.removesuffix(".int8")
        self.inputs = tuple(node.name for node in self._session.get_inputs())
        self._check(self._session.get_inputs(), INPUTS[kind], "input")
        outputs = {node.name: node for node in self._session.get_outputs()}
        self.output = OUTPUTS[kind]
        if self.output not in outputs:
            raise PackError(f"{name}.onnx has no output {self.output}")
        self._check([outputs[self.output]], (self.output,), "output")

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Its output. `feeds` holds at least what the graph asks for.

        Raises PackError when the network fails (it asks for more memory than there is, or is broken).
        """
        try:
            (output,) = self._session.run([self.output], {name: feeds[name] for name in self.inputs})
        except Exception as error:
            raise PackError(f"{self.name}.onnx fails: {_first_line(error)}") from error
        return np.asarray(output)

    def _check(self, nodes: list[Any], known: tuple[str, ...], what: str) -> None:
        for node in nodes:
            if node.name not in known:
                raise PackError(f"{self.name}.onnx has an unknown {what}, {node.name}")
            expected = "tensor(uint8)" if node.name in _BYTES else "tensor(float)"
            if node.type != expected:
                raise PackError(f"{self.name}.onnx: {what} {node.name} is {node.type}, not {expected}")


def session(data: bytes, threads: int = 1, optimisation: int = OPTIMISATION) -> Any:
    """ONNX Runtime's session for an ONNX file. Raises what ONNX Runtime does."""
    import onnxruntime as ort  # late: probing a file or listing packs needs no networks

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False  # plans memory per shape: no faster here, and 20 % more of it
    _share_memory(ort)
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.graph_optimization_level = _level(ort, optimisation)
    # Threads that wait for the next layer by spinning would take the cores from the other tiles' threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


@cache
def _share_memory(ort: Any) -> None:
    """Let all networks of the process allocate from one arena: a third less memory than one arena each."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # The program around us may have registered one before: then it is shared with its networks.
    with contextlib.suppress(RuntimeError):
        ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"arena_extend_strategy": 1}))


def default_threads() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """`values` as contiguous float32, copied only if they are not."""
    return np.ascontiguousarray(values, np.float32)


def _level(ort: Any, optimisation: int) -> Any:
    levels = ort.GraphOptimizationLevel
    return {
        0: levels.ORT_DISABLE_ALL,
        1: levels.ORT_ENABLE_BASIC,
        2: levels.ORT_ENABLE_EXTENDED,
        99: levels.ORT_ENABLE_ALL,
    }[optimisation]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
