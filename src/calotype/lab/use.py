"""Checkpoints as codecs: what the command line and the benchmark call, and what to call from Python.

data = use.encode(image, "runs/cheng/0.013")       # uint8 [H, W, 3] to the bytes of a .calo file
image = use.decode(data, ["runs"])                 # finds the checkpoint by the id in the file

codec = use.open("model.safetensors")              # the same with one codec for many pictures
codec = use.find(data, ["runs"])
data = codec.encode(image)
image = codec.decode(data)

A file is decoded by the checkpoint that wrote it and by no other.  It is looked for, by its id, in the
folders given (to the bottom), then in those that the environment variable CALOTYPE_MODELS lists (separated
as in PATH), then in the current folder (not below it).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from calotype.errors import FormatError
from calotype.lab.checkpoint import SUFFIX, CheckpointError, Info, load_checkpoint, read_info
from calotype.lab.codec import ModelCodec, parse_cut

VARIABLE = "CALOTYPE_MODELS"
IN_RUN = "model.safetensors"
"""The checkpoint in the folder of a training run."""


class LabCodec:
    """A checkpoint with `encode` and `decode`, and what a benchmark wants to print."""

    def __init__(self, info: Info, device: str = "cpu") -> None:
        self.info = info
        self.name = f"lab:{info.path.stem}"
        self.settings = _settings(info)
        model = load_checkpoint(info.path, device=device)
        self.codec = ModelCodec(model)
        self.qualities: tuple[int, ...] = (0,)
        self.quality_unit = "one rate: that of the checkpoint"
        if model.progressive:
            self.qualities = tuple(range(1, model.config["iterations"] + 1))
            self.quality_unit = "parts of the file"

    def encode(self, image: np.ndarray, quality: float = 0, **more: Any) -> bytes:
        """Write an image, uint8 ``[H, W, 3]`` or grey ``[H, W]``.

        quality: of progressive models, how many parts (0: all); of others it is ignored.  more: as in
        `calotype.lab.use.encode`.

        Raises:
            ValueError: for a part of a part; and as `calotype.lab.use.encode`.
        """
        if quality and len(self.qualities) > 1:
            if not float(quality).is_integer():
                raise ValueError(f"a file has whole parts, 1 to {self.qualities[-1]}, got {quality:g}")
            more = {"parts": int(quality), **more}
        return self.codec.encode(image, **more)

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
    """A checkpoint, or the one in the folder of a training run, as a codec.  Raises CheckpointError."""
    return LabCodec(read_info(checkpoint_file(path)), device)


def checkpoint_file(path: Path | str) -> Path:
    """A checkpoint itself, or the one in a run's folder.  Raises CheckpointError when it has none."""
    path = Path(path)
    if not path.is_dir():
        return path
    if not (path / IN_RUN).is_file():
        raise CheckpointError(f"{path}: a folder without {IN_RUN}; name a checkpoint")
    return path / IN_RUN


def checkpoints(folders: Iterable[Path | str]) -> Iterator[Info]:
    """All readable checkpoints below the folders, sorted; a path may also be a checkpoint itself.

    Raises:
        CheckpointError: for a path where there is nothing.
    """
    for folder in map(Path, folders):
        if not folder.exists():
            raise CheckpointError(f"{folder}: no such folder or checkpoint")
        yield from _readable([folder] if folder.is_file() else sorted(folder.rglob("*" + SUFFIX)))


def _readable(paths: Iterable[Path]) -> Iterator[Info]:
    for path in paths:
        try:
            yield read_info(path)
        except CheckpointError:
            continue


def find(data: bytes, folders: Iterable[Path | str] = (), device: str = "cpu") -> LabCodec:
    """The checkpoint that wrote a file, by the id that the file carries; where from, see above.

    Raises:
        FormatError: if the file is not one of the laboratory.
        CheckpointError: if its model is in none of these places, or cannot be used.
    """
    header = parse_cut(data).header
    if not header.lab:
        raise FormatError("not a laboratory file; calotype decode reads it without a checkpoint")
    return _open_found(locate(header.pack_id, folders), device)


def locate(model: bytes, folders: Iterable[Path | str] = ()) -> Info:
    """The checkpoint with an id of 4 bytes.  Raises CheckpointError when there is none."""
    folders = list(folders)
    listed = [Path(place) for place in os.environ.get(VARIABLE, "").split(os.pathsep) if place]

    def candidates() -> Iterator[Info]:
        yield from checkpoints(folders)
        yield from checkpoints(place for place in listed if place.exists())
        yield from _readable(sorted(Path().glob("*" + SUFFIX)))

    for info in candidates():
        if info.id == model:
            return info
    where = [*map(str, folders), f"{VARIABLE} ({os.pathsep.join(map(str, listed)) or 'not set'})"]
    raise CheckpointError(
        f"the file was written by laboratory model {model.hex()}, and no such checkpoint is in "
        f"{', '.join(where)} or the current folder; say where it is with --models FOLDER or {VARIABLE}"
    )


def encode(image: np.ndarray, checkpoint: Path | str, device: str = "cpu", **more: Any) -> bytes:
    """Write an image, uint8 ``[H, W, 3]`` or grey ``[H, W]``, with a checkpoint (or a run's folder).

    more: bytes ``icc``, ``exif``, ``xmp`` and ``alpha`` (streams), kept as they are; ``grey``; ``parts``, of
    progressive models.

    Raises:
        CheckpointError: when the checkpoint cannot be used.
        ValueError: for an array of another shape or type.
    """
    return _open_found(read_info(checkpoint_file(checkpoint)), device).encode(image, **more)


def decode(data: bytes, folders: Iterable[Path | str] = (), device: str = "cpu") -> np.ndarray:
    """Pixels uint8 ``[H, W, 3]`` of a laboratory file, with the checkpoint that wrote it (see `find`).

    Raises:
        FormatError: for a damaged file, or one that is not of the laboratory.
        CheckpointError: when its model is not found or cannot be used.
    """
    return find(data, folders, device).decode(data)


def _open_found(info: Info, device: str) -> LabCodec:
    """A codec, from memory if it was the last one but one and its file has not changed since."""
    stamp = info.path.stat().st_mtime_ns
    return _opened(info.path.resolve(), stamp, device)


@lru_cache(maxsize=2)
def _opened(path: Path, stamp: int, device: str) -> LabCodec:
    return LabCodec(read_info(path), device)
