"""A model of the laboratory with a checkpoint: ``lab:PATH`` on the command line.

`calotype.lab.use` does the work: ``use.open(path)`` returns an object with `encode(image, quality) -> bytes`,
`decode(bytes) -> image` (uint8 [h, w, 3]), and, if it likes, `name`, `settings`, `qualities`, `quality_unit` and
`complexity()`.
"""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from calotype.bench.codecs.base import Codec


class Lab(Codec):
    name = family = "lab"
    settings = "a checkpoint of the laboratory: ask for it as lab:PATH; real bitstream, no estimate"
    quality_unit = "the model's rate point"
    qualities = (0,)
    requires, install = ("torch", "calotype.lab.use"), "pip install 'calotype[lab]'"
    path = ""
    model: Any = None

    def missing(self) -> str | None:
        if self.path:
            return None  # configured() has opened it
        return super().missing() or "needs a checkpoint: lab:PATH"

    def configured(self, argument: str) -> Codec:
        other = copy.copy(self)
        other.path, other.name = argument, f"lab:{Path(argument).stem}"
        other.model = importlib.import_module("calotype.lab.use").open(argument)
        for field in ("name", "settings", "quality_unit", "qualities", "complexity"):
            if hasattr(other.model, field):
                setattr(other, field, getattr(other.model, field))
        return other

    def version(self) -> str:
        return f"torch {importlib.import_module('torch').__version__}, {self.path}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        return self.model.encode(image, quality)

    def decode(self, data: bytes) -> np.ndarray:
        return self.model.decode(data)


CODECS = [Lab()]
