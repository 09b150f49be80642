"""What an analysis looks at: a model by name, a checkpoint or a training run, and pictures.

specimen = open_specimen("liu2023-tcm-small:blocks=conv")      a registered system, fresh weights
specimen = open_specimen("tcm.safetensors")                    a checkpoint of the laboratory
specimen = open_specimen("runs/photo", level=4)                a training run (moving average of the weights)
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calotype.errors import CalotypeError, ImageError
from calotype.lab import registry
from calotype.lab.checkpoint import CheckpointError, load_checkpoint
from calotype.lab.losses.correlation import normalised
from calotype.lab.models.base import System

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm")


@dataclass
class SeenLatents:
    """What the entropy model sees of one picture, at test time."""

    y: Tensor
    """``[1, M, h, w]``, in quantisation steps."""
    residual: Tensor
    """``y - mu``."""
    u: Tensor
    """``(y - mu) / sigma``."""
    y_hat: Tensor | None
    """What the synthesis sees, where it is in the units of y."""


class Specimen:
    """A model of the laboratory; one of all rates at one quality level."""

    def __init__(self, label: str, model: System, level: float | None = None) -> None:
        self.label, self.model = label, model.eval()
        if level is None:
            return
        if model.top is None:
            raise AnalysisError(f"{label}: has no quality levels; --level is for calotype and its runs")
        if not 0 <= level <= model.top:
            raise AnalysisError(f"{label}: the level must be within 0 .. {model.top}, got {level:g}")
        model.level = level

    def crop(self, x: Tensor) -> Tensor:
        """The middle of a picture, in whole blocks; smaller ones are repeated to one block."""
        side = self.model.multiple
        h, w = (max(s // side * side, side) for s in x.shape[2:])
        x = (
            x.repeat(1, 1, -(-h // x.shape[2]), -(-w // x.shape[3]))
            if x.shape[2] < h or x.shape[3] < w
            else x
        )
        top, left = (x.shape[2] - h) // 2, (x.shape[3] - w) // 2
        return x[:, :, top : top + h, left : left + w]

    @torch.no_grad()
    def latents(self, x: Tensor) -> SeenLatents:
        """Of one picture.

        Raises:
            AnalysisError: if the entropy model is not Gaussian.
        """
        out = self.model(self.crop(x))
        try:
            u = normalised(out)
        except ValueError as error:
            raise AnalysisError(f"{self.label}: {error}") from None
        comparable = out.y_hat is not None and out.y_hat.shape == out.y.shape
        return SeenLatents(out.y, out.residual, u, out.y_hat if comparable else None)


class AnalysisError(CalotypeError):
    """A model that an analysis does not apply to, or pictures that cannot be read."""


def open_specimen(what: str, level: float | None = None) -> Specimen:
    """A model to look at: ``NAME``, ``NAME:option=value,option=value``, a checkpoint, or a training run.

    ``level``: quality level of the product's model, 0 .. 7; the middle by default.  A name means fresh
    weights.

    Raises:
        UnknownModel: for a name or an option that does not exist, or a value that does not fit.
        AnalysisError: for a level that the model does not have.
        CheckpointError: for a file that cannot be read.
    """
    path = Path(what)
    if path.is_file() or path.is_dir():
        return Specimen(path.stem or what, _stored(path), level)
    if path.suffix == ".safetensors":
        raise CheckpointError(f"{path}: no such checkpoint")
    name, _, options = what.partition(":")
    config = dict(_option(part, what) for part in re.split(r",(?![^\[]*\])", options) if part)
    torch.manual_seed(0)
    return Specimen(what, registry.build(name, **config), level)


def _option(text: str, what: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise registry.UnknownModel(f"{what!r}: options are written NAME:option=value, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _stored(path: Path) -> System:
    """A checkpoint of the laboratory; else the moving average of a training run."""
    if path.is_file():
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            if "not a checkpoint of the laboratory" not in str(error):
                raise
    from calotype.lab.train.state import State, load_weights
    from calotype.lab.train.subject import Subject as Trained

    state = State.load(path)
    model: System = Trained.from_dict(state.model).build().model
    load_weights(model, state.ema, path)
    return model


def synthetic(size: int = 256, seed: int = 0) -> Tensor:
    """A picture ``[1, 3, size, size]`` in 0..1 with the spectrum of photographs (power falls with frequency
    squared).
    """
    generator = torch.Generator().manual_seed(seed)
    f = torch.fft.fftfreq(size)
    radius = (f[:, None].square() + f[None].square()).sqrt().clamp_min(1 / size)
    spectrum = torch.fft.fft2(torch.randn(3, size, size, generator=generator)) / radius
    t = torch.fft.ifft2(spectrum).real
    t = (t + t.mean(0, keepdim=True)) / 2  # channels go together
    return (0.5 + 0.2 * t / t.std()).clamp(0, 1)[None]


def pictures(paths: list[Path], limit: int | None = None) -> Iterator[tuple[str, Tensor]]:
    """(name, ``[1, 3, H, W]`` in 0..1) of files and of the pictures in folders; broken files in folders are
    skipped.

    Raises:
        ImageError: for a file that cannot be read, or if nothing can.
    """
    from PIL import Image

    count, broken = 0, []
    for path in paths:
        files = (
            sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        )
        for file in files:
            if limit is not None and count >= limit:
                return
            try:
                with Image.open(file) as image:
                    pixels = np.array(image.convert("RGB"))
            except (OSError, ValueError) as error:
                if not path.is_dir():
                    raise ImageError(f"{file}: cannot be read as a picture ({error})") from None
                broken.append(file.name)
                continue
            count += 1
            yield file.name, torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255.0
    if not count:
        tried = f"; broken: {', '.join(broken[:5])}" if broken else ""
        raise ImageError(f"no pictures in {', '.join(map(str, paths)) or 'no folder'}{tried}")
