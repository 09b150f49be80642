"""Checkpoints of the laboratory as the benchmark needs them: found, sorted, opened once per process."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any


def checkpoints(path: Path) -> tuple[Any, ...]:
    """What is known of the checkpoint, or of all in a folder, from low to high rate; none: empty."""
    from calotype.lab import use

    infos = use.checkpoints([path]) if path.is_dir() else [use.open(path).info]
    return tuple(sorted(infos, key=lambda i: (i.training.get("lambda", 0), i.path.name)))


def model(info: Any, threads: int) -> Any:
    """The model of a checkpoint, told to use `threads` threads (0: all)."""
    import torch

    torch.set_num_threads(threads or os.cpu_count() or 1)
    return _open(info.path, info.id)


@lru_cache(maxsize=16)
def _open(path: Path, identity: bytes) -> Any:  # by identity too: a file may be written again
    from calotype.lab import use

    return use.open(path)
