"""How fast the systems of the correlation-loss experiment decode, in CPU seconds of one thread."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calotype.lab.entropy.order import one_by_one
from studies.correlation.plan import Budget, Row


def decoding(model: Any, picture: Path) -> dict[str, float]:
    """CPU seconds to decode a picture's file: ``whole``, ``latents`` (all but the synthesis); the best of
    five.

    A model with a raster context also has ``one by one``: its latents decoded position by position, as
    published coders do, and not in wavefronts.
    """
    from PIL import Image

    from calotype.lab.codec import ModelCodec

    with Image.open(picture) as opened:
        pixels = np.array(opened.convert("RGB"))
    codec = ModelCodec(model)
    found = dict(zip(("whole", "latents"), _decoding(codec, pixels, 5)))
    if codec.model.order is not None:
        codec.model.order = one_by_one  # the codec's own copy of the model
        found["one by one"] = _decoding(codec, pixels, 1)[1]
    return found


def speeds(budget: Budget, rows: Sequence[Row], picture: Path) -> Iterator[dict[str, Any]]:
    """`decoding` for every row without the loss (which changes nothing there) of "main" and "context", with
    fresh weights: what the networks cost at a budget's widths, whatever they have learned.
    """
    from calotype.lab import registry

    for row in rows:
        if row.group in ("main", "context") and not row.correlation:
            torch.manual_seed(0)
            model = registry.build(row.model, **row.options).eval()
            yield {"system": row.key, "options": model.config, **decoding(model, picture)}


def _decoding(codec: Any, pixels: np.ndarray, repeat: int) -> tuple[float, float]:
    data, synthesise = codec.encode(pixels), codec.model.synthesise
    spent: list[float] = []

    def timed(y_hat: torch.Tensor) -> torch.Tensor:
        begin = time.process_time()
        out: torch.Tensor = synthesise(y_hat)
        spent.append(time.process_time() - begin)
        return out

    whole, latents = [], []
    codec.model.synthesise = timed  # clocked in the same decoding: the rest may be a hundredth of it
    try:
        for _ in range(repeat):
            begin = time.process_time()
            codec.decode(data)
            whole.append(time.process_time() - begin)
            latents.append(whole[-1] - spent.pop())
    finally:
        codec.model.synthesise = synthesise
    return min(whole), min(latents)
