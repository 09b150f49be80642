"""Models of the laboratory: ``lab:CHECKPOINT``, or ``lab:FOLDER`` for one curve through all checkpoints in
it.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bench.codecs.base import Codec
from calotype.bench.errors import BenchError


class Lab(Codec):
    name = family = "lab"
    settings = "checkpoints of the laboratory, with real bitstreams: lab:CHECKPOINT or lab:FOLDER"
    quality_unit, qualities = "number of the checkpoint", (0,)
    requires, install = ("torch", "safetensors"), "pip install 'calotype[lab]'"
    infos: tuple[Any, ...] = ()  # of the checkpoints, by quality

    def missing(self) -> str | None:
        return super().missing() or (
            None if self.infos else "needs a checkpoint: lab:CHECKPOINT or lab:FOLDER"
        )

    def configured(self, argument: str) -> Codec:
        from calotype.lab import use

        path, other = Path(argument), copy.copy(self)
        infos = list(use.checkpoints([path])) if path.is_dir() else [use.open(path).info]
        if not infos:
            raise BenchError(f"no checkpoint in {path}")
        other.infos = tuple(sorted(infos, key=lambda i: (i.training.get("lambda", 0), i.path.name)))
        other.qualities, other.name = tuple(range(len(infos))), f"lab:{path.stem or path.resolve().stem}"
        other.quality_unit = ", ".join(f"{n} = {i.path.stem}" for n, i in enumerate(other.infos))
        other.settings = f"{use.open(other.infos[0].path).settings}; real bitstream"
        other._open: dict[bytes, Any] = {}
        return other

    def version(self) -> str:
        import torch

        return f"torch {torch.__version__}, checkpoints {' '.join(i.id.hex() for i in self.infos)}"

    def _model(self, info: Any) -> Any:
        import torch

        from calotype.lab import use

        torch.set_num_threads(self.threads or os.cpu_count() or 1)
        if info.id not in self._open:
            self._open[info.id] = use.open(info.path)
        return self._open[info.id]

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        return self._model(self.infos[int(quality)]).encode(image)

    def decode(self, data: bytes) -> np.ndarray:
        from calotype.bitstream import parse

        key = parse(data).header.pack_id
        return self._model(next(info for info in self.infos if info.id == key)).decode(data)

    def complexity(self) -> dict[str, object] | None:
        found = self._model(self.infos[0]).complexity()
        return {"kmac_per_pixel" if k == "kmacs_per_pixel" else k: v for k, v in found.items()}


CODECS = [Lab()]
