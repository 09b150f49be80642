"""Models of the laboratory: ``lab:CHECKPOINT``, or ``lab:FOLDER`` for one curve through its checkpoints."""

from __future__ import annotations

import copy
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bench.codecs import _lab
from calotype.bench.codecs.base import Codec
from calotype.bench.errors import BenchError
from calotype.bitstream import parse

SHORT = 100_000
"""Steps of training below which a curve is labelled: published systems took 500,000 to 5 million."""


class Lab(Codec):
    name = family = "lab"
    settings = "checkpoints of the laboratory, with real bitstreams: lab:CHECKPOINT or lab:FOLDER"
    quality_unit = "number of the checkpoint"
    qualities: tuple[float, ...] = (0,)
    requires, install = ("torch", "safetensors"), "pip install 'calotype[lab]'"
    infos: tuple[Any, ...] = ()  # of the checkpoints, by quality
    parts = False  # whether qualities are parts of one checkpoint's files

    def missing(self) -> str | None:
        needs = None if self.infos else "needs a checkpoint: lab:CHECKPOINT or lab:FOLDER"
        return super().missing() or needs

    def configured(self, argument: str) -> Codec:
        path, other = Path(argument), copy.copy(self)
        other.infos = _lab.checkpoints(path)
        if not other.infos:
            raise BenchError(f"no checkpoint in {path}")
        other.qualities = tuple(range(len(other.infos)))
        short = any(isinstance(n := i.training.get("steps"), int) and n < SHORT for i in other.infos)
        other.name = f"lab:{path.stem or path.resolve().stem}" + (" (short training)" if short else "")
        other.quality_unit = ", ".join(f"{n} = {i.path.stem}" for n, i in enumerate(other.infos))
        only = _lab.model(other.infos[0], 1)
        if len(other.infos) == 1 and len(only.qualities) > 1:  # a progressive one has a curve of its own
            other.parts, other.qualities, other.quality_unit = True, only.qualities, only.quality_unit
        other.settings = f"{only.settings}; real bitstream"
        return other

    def version(self) -> str:
        return f"torch {metadata.version('torch')}, checkpoints {' '.join(i.id.hex() for i in self.infos)}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        if self.parts:
            return bytes(_lab.model(self.infos[0], self.threads).encode(image, quality))
        return bytes(_lab.model(self.infos[int(quality)], self.threads).encode(image))

    def decode(self, data: bytes) -> np.ndarray:
        key = parse(data).header.pack_id
        info = next(info for info in self.infos if info.id == key)
        image: np.ndarray = _lab.model(info, self.threads).decode(data)
        return image

    def complexity(self) -> dict[str, object] | None:
        found = _lab.model(self.infos[0], 1).complexity()
        return {k.replace("kmacs", "kmac"): v for k, v in found.items()}


CODECS = [Lab()]
