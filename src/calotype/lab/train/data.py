"""Photographs for training: a folder, decoded once into one flat file of bytes that is then memory-mapped.

A crop depends only on (seed, step, position in the batch), so a resumed run sees exactly what an uninterrupted one would.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm")
Pixels = npt.NDArray[np.uint8]


@dataclass
class Entry:
    """One decoded picture in the flat file."""

    name: str
    offset: int
    height: int
    width: int


class Photos:
    """Decoded photographs: ``PACKED.u8`` (pixels, row by row, RGB) beside ``PACKED.json`` (names, offsets, sizes)."""

    def __init__(self, packed: Path) -> None:
        index = json.loads(packed.with_suffix(".json").read_text())
        self.entries = [Entry(*e) for e in index]
        self.pixels: Pixels = np.memmap(packed.with_suffix(".u8"), np.uint8, "r")
        if not self.entries:
            raise ValueError(f"{packed}: no photographs")
        last = self.entries[-1]
        if last.offset + last.height * last.width * 3 != len(self.pixels):
            raise ValueError(f"{packed}.u8: size does not match the index; pack the photographs again")

    @classmethod
    def open(cls, source: Path, cache: Path | None = None) -> Photos:
        """Photographs of a folder (decoded on first use into ``cache``) or of a packed file."""
        if source.with_suffix(".u8").is_file():
            return cls(source)
        if not source.is_dir():
            raise ValueError(f"{source}: neither a folder nor a packed file of photographs")
        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not files:
            raise ValueError(f"{source}: no photographs (looked for {', '.join(SUFFIXES)})")
        stamp = "".join(f"{p}{p.stat().st_size}{p.stat().st_mtime_ns}" for p in files)
        cache = cache or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "calotype"
        packed = cache / f"photos-{hashlib.sha256(stamp.encode()).hexdigest()[:16]}"
        if not packed.with_suffix(".json").is_file():
            skipped = pack(files, packed)
            for name, why in skipped:
                print(f"skipped {name}: {why}")
            if skipped:
                print(f"skipped {len(skipped)} of {len(files)} files")
        return cls(packed)

    def picture(self, i: int) -> Pixels:
        e = self.entries[i]
        return self.pixels[e.offset : e.offset + e.height * e.width * 3].reshape(e.height, e.width, 3)

    def split(self, held_out: int) -> tuple[list[int], list[int]]:
        """Indices for training and, evenly spread, for validation."""
        n = len(self.entries)
        count = min(held_out, n // 2)
        valid = {(2 * k + 1) * n // (2 * count) for k in range(count)} if count else set()
        return [i for i in range(n) if i not in valid], sorted(valid)

    def crops(self, indices: list[int], key: Iterable[int], count: int, size: int) -> Tensor:
        """``count`` random crops as uint8 ``[count, 3, size, size]``, decided by ``key`` alone.

        Every pixel is as likely as any other; smaller pictures are repeated by reflection.  Flips and quarter turns.
        """
        rng = np.random.default_rng(list(key))
        areas = np.array([self.entries[i].height * self.entries[i].width for i in indices], np.float64)
        chosen = rng.choice(len(indices), count, p=areas / areas.sum())
        out = np.empty((count, size, size, 3), np.uint8)
        for k, which in enumerate(chosen):
            picture = self.picture(indices[which])
            h, w = picture.shape[:2]
            if h < size or w < size:
                pad = ((0, max(0, size - h)), (0, max(0, size - w)), (0, 0))
                picture = np.pad(picture, pad, mode="symmetric")
                h, w = picture.shape[:2]
            top, left = rng.integers(h - size + 1), rng.integers(w - size + 1)
            crop = picture[top : top + size, left : left + size]
            crop = np.rot90(crop, rng.integers(4))
            out[k] = crop[:, ::-1] if rng.integers(2) else crop
        return torch.from_numpy(out).permute(0, 3, 1, 2)

    def centres(self, indices: list[int], size: int) -> Tensor:
        """The central crop of each picture, uint8 ``[n, 3, size, size]``."""
        out = []
        for i in indices:
            p = self.picture(i)
            p = np.pad(p, ((0, max(0, size - p.shape[0])), (0, max(0, size - p.shape[1])), (0, 0)), mode="symmetric")
            top, left = (p.shape[0] - size) // 2, (p.shape[1] - size) // 2
            out.append(p[top : top + size, left : left + size])
        return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2)


def pack(files: list[Path], packed: Path) -> list[tuple[str, str]]:
    """Decode ``files`` into ``packed.u8`` and ``packed.json``; returns (name, reason) of those that could not be read."""
    from PIL import Image

    packed.parent.mkdir(parents=True, exist_ok=True)
    index: list[tuple[str, int, int, int]] = []
    skipped: list[tuple[str, str]] = []
    offset = 0
    with tempfile.NamedTemporaryFile(dir=packed.parent, delete=False) as out:
        for path in files:
            try:
                with Image.open(path) as image:
                    pixels = np.asarray(image.convert("RGB"))
            except Exception as error:  # any decoder may raise anything on a broken file
                skipped.append((path.name, str(error)))
                continue
            out.write(pixels.tobytes())
            index.append((path.name, offset, *pixels.shape[:2]))
            offset += pixels.size
    os.replace(out.name, packed.with_suffix(".u8"))
    packed.with_suffix(".json").write_text(json.dumps(index))
    return skipped
