"""What a call costs: wall time, processor time and peak memory, child processes included."""

from __future__ import annotations

import contextlib
import ctypes
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Seconds and MiB of one call, medians over `runs`."""

    seconds: float
    cpu_seconds: float
    peak_mib: float | None
    """Peak memory above what the process held before the call, of the first run; None where it cannot be
    known.
    """
    runs: int

    def to_json(self, pixels: int) -> dict[str, float | int | None]:
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "mp_per_s": pixels / 1e6 / self.seconds,
            "peak_mib": self.peak_mib,
            "runs": self.runs,
        }


def measured(call: Callable[[], T], repeats: int, long: float) -> tuple[T, Cost]:
    """Run `call` and return its result and cost.

    The first run gives the result and the memory. When it took less than `long` seconds it also warmed caches
    up: it is followed by `repeats` runs and only those are timed.
    """
    before = _start_peak()
    _children.clear()
    result, wall, cpu = _once(call)
    peak = _peak_since(before)
    if peak is not None:
        peak += max(_children, default=0.0)  # one child at a time
    times = [(wall, cpu)]
    if wall < long and repeats:
        times = [_once(call)[1:] for _ in range(repeats)]
    walls, cpus = zip(*times)
    return result, Cost(statistics.median(walls), statistics.median(cpus), peak, len(times))


def _once(call: Callable[[], T]) -> tuple[T, float, float]:
    cpu, wall = _cpu(), time.perf_counter()
    result = call()
    wall = time.perf_counter() - wall
    return result, max(wall, 1e-9), _cpu() - cpu


def _cpu() -> float:
    children = 0.0
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        children = used.ru_utime + used.ru_stime
    return time.process_time() + children


_children: list[float] = []  # peak MiB of the child processes since the last measured()


def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child process, note its peak memory, and return its exit status."""
    if not hasattr(os, "wait4"):  # Windows
        return child.wait()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    _children.append(used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
    return child.returncode


def _start_peak() -> float | None:
    """Give freed memory back, reset the kernel's high-water mark, and return the memory held, MiB. Linux
    only.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # not glibc: the peak is a little too low
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:
        return None


def _peak_since(before: float | None) -> float | None:
    return None if before is None else max(0.0, _status("VmHWM") - before)


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"no {field} in /proc/self/status")
