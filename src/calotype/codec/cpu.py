"""Whether this CPU computes faster in 8-bit integers than in float32."""

from __future__ import annotations

import importlib
import platform
import sys
from functools import cache
from pathlib import Path

FAST = {"avx2", "avx512_vnni", "avx_vnni", "asimddp"}
"""Instructions for products of bytes that ONNX Runtime uses: those of x86 CPUs from 2013 on (faster still
with VNNI, from 2019 on), and of ARM CPUs from 2017 on. Names as in /proc/cpuinfo.
"""


@cache
def has_fast_integers() -> bool:
    """True where int8 networks are the better choice; False where it cannot be told."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return True  # every Apple chip of this kind
    return not FAST.isdisjoint(_features())


def _features() -> set[str]:
    try:
        with Path("/proc/cpuinfo").open() as lines:  # of the first core only: the file has all of them
            for line in lines:
                name, _, values = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return set(values.split())
    except OSError:
        pass
    return _features_of_numpy()


def _features_of_numpy() -> set[str]:
    """What NumPy found, on systems without /proc; it does not tell of VNNI outside AVX-512."""
    try:
        core = importlib.import_module("numpy._core._multiarray_umath")  # NumPy 2; it has no public name
    except ImportError:
        return set()
    found = getattr(core, "__cpu_features__", {})
    return {name.lower() for name, there in found.items() if there}
