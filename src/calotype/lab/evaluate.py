"""How good a checkpoint is: real files, estimates, distortion and times, picture by picture."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from calotype.errors import ImageError
from calotype.lab.checkpoint import load_checkpoint
from calotype.lab.codec import ModelCodec
from calotype.lab.metrics import ms_ssim, psnr
from calotype.lab.train.stores import SUFFIXES
from calotype.lab.use import checkpoint_file

FIGURES = ("bpp", "estimated_bpp", "psnr", "ms_ssim", "encode_seconds", "decode_seconds")


def evaluate(checkpoint: Path, images: Iterable[Path], device: str = "cpu") -> Iterator[dict[str, Any]]:
    """A record per picture, and their mean at the end under the name "mean"; ``checkpoint`` may be a run's
    folder.

    ``bpp`` counts the whole file; ``estimated_bpp`` is what the entropy model expects of the same latents;
    ``ms_ssim`` is None for pictures with a side below 161 pixels.  Broken files in folders are skipped; the
    mean names them, with reasons, under "skipped".

    Raises:
        CheckpointError: when the checkpoint cannot be used.
        ImageError: for a picture, named itself, that cannot be read.
        ValueError: when there are no pictures.
    """
    model = load_checkpoint(checkpoint_file(checkpoint), device=device)
    codec = ModelCodec(model)
    records, skipped = [], dict[str, str]()
    for path, in_folder in _files(images):
        try:
            pixels = _read(path)
        except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: Pillow's word for broken PNG
            if not in_folder:
                raise ImageError(f"{path}: cannot be read as a picture ({error})") from None
            skipped[path.name] = str(error)
            continue
        records.append({"image": path.name, **_one(model, codec, pixels, device)})
        yield records[-1]
    if not records:
        raise ValueError(f"no pictures that can be read, {len(skipped)} that cannot")
    means: dict[str, Any] = {"image": "mean", "skipped": skipped}
    for figure in FIGURES:
        values = [r[figure] for r in records if r[figure] is not None]
        means[figure] = float(np.mean(values)) if values else None
    yield means


def _one(model: Any, codec: ModelCodec, pixels: np.ndarray, device: str) -> dict[str, Any]:
    start = time.perf_counter()
    data = codec.encode(pixels)
    middle = time.perf_counter()
    decoded = codec.decode(data)
    end = time.perf_counter()
    x, x_hat = (torch.from_numpy(p.copy()).permute(2, 0, 1)[None] / 255.0 for p in (pixels, decoded))
    with torch.inference_mode():
        estimate = float(model(x.to(device)).bpp[0])
    return {
        "bpp": 8 * len(data) / (pixels.shape[0] * pixels.shape[1]),
        "estimated_bpp": estimate,
        "psnr": float(psnr(x, x_hat)[0]),
        "ms_ssim": float(ms_ssim(x, x_hat)[0]) if min(x.shape[2:]) > 160 else None,
        "encode_seconds": middle - start,
        "decode_seconds": end - middle,
    }


def _files(images: Iterable[Path]) -> Iterator[tuple[Path, bool]]:
    """Each file, and whether it was found in a folder."""
    for path in images:
        if path.is_dir():
            yield from ((p, True) for p in sorted(path.iterdir()) if p.suffix.lower() in SUFFIXES)
        else:
            yield path, False


def _read(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image.convert("RGB"))
