"""Where a result comes from: command, commit, hardware, versions, time.

Whatever stores results under docs/results stores `provenance` with them, so that a number can be traced to
the code that gave it, and a time to the machine.
"""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

LIBRARIES = (
    "calotype",
    "numpy",
    "Pillow",
    "onnxruntime",
    "torch",
    "imagecodecs",
    "pillow-heif",
    "imageio-ffmpeg",
)


def provenance(command: Sequence[str]) -> dict[str, Any]:
    """``command``, ``commit``, ``hardware``, ``libraries`` and ``finished``, to be merged into a record."""
    return {
        "command": shown(command),
        "commit": commit(),
        "hardware": hardware(),
        "libraries": libraries(),
        "finished": now(),
    }


def shown(command: Sequence[str]) -> str:
    """A command as a shell takes it.  Of absolute paths only the last part: the rest is this machine's."""
    words = []
    for word in command:
        head, equals, path = word.rpartition("=")
        words.append(f"{head}{equals}{Path(path).name}" if Path(path).is_absolute() else word)
    return shlex.join(words)


def hardware() -> dict[str, Any]:
    """Processor, cores, memory (GiB), system, Python; no host names or paths."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "memory_gib": _memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def libraries() -> dict[str, str]:
    """Versions of the libraries that matter, of those that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """The commit of the source tree this runs from, ``+`` appended when files differ; None when installed."""
    package = Path(__file__).parents[1]
    git = ["git", "-C", str(package)]
    try:
        told, tracked = (
            subprocess.run([*git, *asked], capture_output=True, text=True, check=False, timeout=20)
            for asked in (
                ["describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
                ["ls-files", "--error-unmatch", "__init__.py"],
            )
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None if tracked.returncode == 0 else None


def now() -> str:
    """Date and time in UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None
