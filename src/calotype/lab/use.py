"""Checkpoints as codecs: what the command line and the benchmark call.

codec = use.open("model.safetensors")
data = codec.encode(image)             # uint8 [H, W, 3] to a .calo file
image = codec.decode(data)

codec = use.find(data, folders)        # the checkpoint that wrote a file
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bitstream import parse
from calotype.errors import FormatError
from calotype.lab.checkpoint import SUFFIX, CheckpointError, Info, load_checkpoint, read_info
from calotype.lab.codec import ModelCodec


class LabCodec:
    """A checkpoint with `encode` and `decode`, and what a benchmark wants to print."""

    qualities = (0,)
    quality_unit = "one rate: that of the checkpoint"

    def __init__(self, info: Info, device: str = "cpu") -> None:
        self.info = info
        self.name = f"lab:{info.path.stem}"
        self.settings = _settings(info)
        self.codec = ModelCodec(load_checkpoint(info.path, device=device))

    def encode(self, image: np.ndarray, quality: float = 0) -> bytes:
        """Write an image, uint8 ``[H, W, 3]`` or grey ``[H, W]``; ``quality`` is ignored."""
        return self.codec.encode(image)

    def decode(self, data: bytes) -> np.ndarray:
        """Pixels uint8 ``[H, W, 3]``.  Raises FormatError for a damaged file or one of another model."""
        return self.codec.decode(data)

    def complexity(self) -> dict[str, Any]:
        """Parameters and kMACs per pixel by part, in the exact rule."""
        from calotype.lab.analysis import complexity

        model = load_checkpoint(self.info.path)
        return {
            "parameters": complexity.parameters(model),
            "kmacs_per_pixel": complexity.kmacs_per_pixel(model),
            "rule": "exact",
        }


def _settings(info: Info) -> str:
    notes = ", ".join(f"{k} {v}" for k, v in info.training.items() if isinstance(v, int | float | str))
    return f"{info.name} {info.config}" + (f", {notes}" if notes else "")


def open(path: Path | str, device: str = "cpu") -> LabCodec:
    """A checkpoint as a codec.  Raises CheckpointError."""
    return LabCodec(read_info(path), device)


def checkpoints(folders: Iterable[Path | str]) -> Iterator[Info]:
    """All readable checkpoints below the folders, sorted; a path may also be a checkpoint itself."""
    for folder in map(Path, folders):
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*" + SUFFIX)):
            try:
                yield read_info(path)
            except CheckpointError:
                continue


def find(data: bytes, folders: Iterable[Path | str], device: str = "cpu") -> LabCodec:
    """The checkpoint that wrote a file, by the id that the file carries.

    Raises:
        FormatError: if the file is not one of the laboratory, or its model is not in the folders.
    """
    header = parse(data).header
    if not header.lab:
        raise FormatError("not a laboratory file")
    folders = list(folders)
    for info in checkpoints(folders):
        if info.id == header.pack_id:
            return LabCodec(info, device)
    where = ", ".join(map(str, folders)) or "no folder"
    raise FormatError(f"the file needs model {header.pack_id.hex()}, which is not in {where}")
