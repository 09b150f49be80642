"""What both calls share."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
"""The folder that travelled."""
BEGUN = time.monotonic()
Fields = dict[str, Any]


def kept() -> Path:
    """Where files stay between the calls: outside the folder that travels, which comes anew."""
    return Path(os.environ.get("CALOTYPE_GPU", Path.home() / "calotype-gpu"))


def environment() -> None:
    """For this process and those that it starts: sources, and caches of compilers that stay."""
    caches = {"TORCHINDUCTOR_CACHE_DIR": "inductor", "TRITON_CACHE_DIR": "triton"}
    os.environ.update({name: str(kept() / folder) for name, folder in caches.items()})
    os.environ["PYTHONPATH"] = str(HERE / "src")


def tell(text: str) -> None:
    """A line, with the seconds since the call began."""
    print(f"[{time.monotonic() - BEGUN:6.1f}] {text}", flush=True)


def setting(fields: Fields) -> list[str]:
    """Options of a training command."""
    return [word for key, value in fields.items() for word in ("--set", f"{key}={value}")]


def python(
    given: argparse.Namespace, *words: str, timeout: float | None = None, show: bool = False
) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, with its output or showing it."""
    return subprocess.run(
        [sys.executable, *words], timeout=timeout, capture_output=not show, text=True, check=False
    )


def packed(given: argparse.Namespace, photos: Path, name: str) -> subprocess.Popen[bytes]:
    """Decode a folder of photographs into ``--keep``, beside whatever else is done."""
    code = (
        "import sys; from pathlib import Path; from calotype.lab.train.stores import pack_folder; "
        "pack_folder(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(photos), str(given.keep / name)])
