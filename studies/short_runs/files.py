"""Held-out crops as real files of a trained system, read by another process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calotype.bitstream import parse
from calotype.lab.checkpoint import load_checkpoint
from calotype.lab.codec import FORMAT, ModelCodec
from calotype.lab.entropy import FileDecoder, FileEncoder
from calotype.lab.metrics import psnr
from calotype.lab.models.base import LabModel, as_tuple
from calotype.lab.train.data import Photos
from studies.short_runs.page import rounded

SIZES = ((256, 256), (192, 320), (250, 333))
"""Rows and columns of the crops that are written as files; the last is no multiple of anything."""


def crops(photos: Photos, held_out: Sequence[int]) -> list[np.ndarray]:
    """The middle of the first held-out photographs, uint8 ``[H, W, 3]`` of at most `SIZES`."""
    found = []
    for i, (height, width) in zip(held_out, SIZES):
        p = photos.picture(i)
        top, left = max(0, p.shape[0] - height) // 2, max(0, p.shape[1] - width) // 2
        found.append(np.array(p[top : top + height, left : left + width]))
    return found


def files(
    model: LabModel, checkpoint: Path, images: Sequence[np.ndarray], reader: Executor
) -> list[dict[str, Any]]:
    codec, records = ModelCodec(model), []
    for image in images:
        x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0
        data = codec.encode(image)
        known, shown = written(codec, x)
        read, decoded = reader.submit(decode, checkpoint, data).result()
        with torch.inference_mode():
            estimate = float(sum(b.sum() for b in model(x).bits.values())) / 8
        y = torch.from_numpy(decoded).permute(2, 0, 1)[None] / 255.0
        records.append(
            {
                "height": image.shape[0],
                "width": image.shape[1],
                "bytes": len(data),
                "estimated_bytes": rounded(estimate),
                "psnr": rounded(psnr(x, y)[0]),
                "exact": read == known and bool(np.array_equal(decoded, shown)),
            }
        )
    return records


@torch.inference_mode()
def written(codec: ModelCodec, x: Tensor) -> tuple[str, np.ndarray]:
    """What the encoder knows that the decoder will see: a hash of the latents, and the pixels."""
    padded = codec.model.pad(x).contiguous(memory_format=FORMAT)
    coder = FileEncoder(*padded.shape[2:])
    known = as_tuple(codec.model.walk(coder, codec.model.analyse(padded)))
    pixels = codec.model.synthesise(*(t.float().contiguous(memory_format=FORMAT) for t in known))
    pixels = pixels[0, :, : x.shape[2], : x.shape[3]].clamp(0, 1)
    return _hash(known), (pixels * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


@torch.inference_mode()
def decode(checkpoint: Path, data: bytes) -> tuple[str, np.ndarray]:
    """Read a file, in a process that has nothing but it and the checkpoint: as `written`."""
    torch.set_num_threads(1)
    codec, file = ModelCodec(load_checkpoint(checkpoint)), parse(data)
    m = codec.model.multiple
    padded = (file.header.height + -file.header.height % m, file.header.width + -file.header.width % m)
    known = as_tuple(codec.model.walk(FileDecoder(file.tiles[0], *padded)))
    return _hash(known), codec.decode(data)


def _hash(known: Sequence[Tensor]) -> str:
    digest = hashlib.sha256()
    for t in known:
        digest.update(t.contiguous().numpy().tobytes())
    return digest.hexdigest()
