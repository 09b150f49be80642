"""ONNX Runtime, which runs what the search needs and nothing else does: `calotype[effort]` installs it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from calotype.codec import tiles
from calotype.errors import CalotypeError


def check() -> None:
    """Raises CalotypeError where ONNX Runtime is not installed."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise CalotypeError(
            f"effort above 0 needs onnxruntime ({error}): pip install 'calotype[effort]'"
        ) from error


def session(data: bytes, threads: int = 1) -> Any:
    """ONNX Runtime's session for an ONNX file, on the CPU. Raises what ONNX Runtime does."""
    import onnxruntime as ort  # late: only effort needs it

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False  # plans memory per shape: no faster here, and 20 % more of it
    _share_memory(ort)
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait for the next layer by spinning would take the cores from the other tiles' threads.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(made: Any, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """All outputs of a session, by name, as ONNX Runtime's values, which are not copied.

    feeds: arrays, or such values

    Ends soon when who waits for it is interrupted (`tiles.interruptible`).
    """
    import onnxruntime as ort

    values = {
        name: ort.OrtValue.ortvalue_from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in feeds.items()
    }
    names, options = [output.name for output in made.get_outputs()], ort.RunOptions()
    with tiles.interruptible(partial(setattr, options, "terminate", True)):
        return dict(zip(names, made.run_with_ort_values(names, values, options)))


@cache
def _share_memory(ort: Any) -> None:
    """Let all networks of the process allocate from one arena: a third less memory than one arena each."""
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    # The program around us may have registered one before: then it is shared with its networks.
    with contextlib.suppress(RuntimeError):
        ort.create_and_register_allocator(memory, ort.OrtArenaCfg({"arena_extend_strategy": 1}))
