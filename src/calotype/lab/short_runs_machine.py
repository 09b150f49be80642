"""What short runs were made on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from calotype.lab.train import process


def environment() -> dict[str, Any]:
    """Commit (``+``: with changes), processor, versions; no names, no paths."""
    here = ["git", "-C", str(Path(__file__).parent)]
    commit = None
    try:
        tracked = subprocess.run(
            [*here, "ls-files", "registry.py"], capture_output=True, text=True, check=False
        )
        told = subprocess.run(
            [*here, "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        commit = told.stdout.strip() or None if tracked.stdout.strip() else None
    except OSError:
        pass
    return {
        "commit": commit,
        "hardware": {
            "processor": process.machine(torch.device("cpu"), 1).rpartition(", ")[0],
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {
            "python": platform.python_version(),
            **{package: metadata.version(package) for package in ("calotype", "torch", "numpy")},
        },
    }
