"""Training crops of photographs.

A crop depends only on (seed, step, position in the batch), so a resumed run, or one shared by several
processes, sees exactly what an uninterrupted one would.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from calotype.lab.train.stores import VARIANT, EncodedStore, Pixels, Store, open_store


class Cut(NamedTuple):
    """Where a crop comes from, and how it is turned."""

    picture: int
    top: int
    left: int
    turns: int
    """Quarter turns, anticlockwise."""
    flip: bool
    """Left and right exchanged, after the turns."""


class Photos:
    """Photographs from one or several stores, counted through."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self.stores = list(stores)
        self.where = [(s, i) for s in self.stores for i in range(len(s.names))]
        self.names = [s.names[i] for s, i in self.where]
        self.sizes = [s.sizes[i] for s, i in self.where]
        self.areas = np.array([h * w for h, w in self.sizes], np.float64)
        self.skipped = [entry for s in self.stores for entry in s.skipped]
        encoded = any(isinstance(s, EncodedStore) for s in self.stores)
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1) if encoded else None

    @classmethod
    def open(cls, *sources: Path, stream: bool = False, cache: Path | None = None) -> Photos:
        """Folders, WebDataset shards or packed files; see `calotype.lab.train.stores`."""
        return cls([open_store(Path(s), stream=stream, cache=cache) for s in sources])

    def describe(self) -> dict[str, Any]:
        """For the record of a run: how many photographs and pixels, and a hash of their names and sizes."""
        listing = json.dumps(sorted(zip(self.names, self.sizes)))
        return {
            "photographs": len(self.names),
            "megapixels": round(sum(h * w for h, w in self.sizes) / 1e6, 1),
            "sha256": hashlib.sha256(listing.encode()).hexdigest()[:16],
        }

    def picture(self, i: int) -> Pixels:
        """uint8 ``[H, W, 3]``, read-only."""
        store, k = self.where[i]
        return store.picture(k)

    def split(self, held_out: int, names: Collection[str] = ()) -> tuple[list[int], list[int]]:
        """Indices for training and for validation.

        names: what an earlier run held out (`held_out`).  Those of them that are there are held out again,
            whatever else is there, or weights would be validated on what they were trained on.  If none is,
            ``held_out`` photographs are, evenly spread.

        A variant (`VARIANT`) is never for validation, nor for training if its photograph is held out.
        """
        real = [i for i, name in enumerate(self.names) if VARIANT not in name]
        valid = [i for i in real if _stem(self.names[i]) in names]
        if not valid and (count := min(held_out, len(real) // 2)):
            valid = [real[(2 * k + 1) * len(real) // (2 * count)] for k in range(count)]
        stems, out = set(self.held_out(valid)), set(valid)
        train = [
            i
            for i, name in enumerate(self.names)
            if i not in out and not (VARIANT in name and _stem(name) in stems)
        ]
        return train, valid

    def held_out(self, indices: Sequence[int]) -> list[str]:
        """What `split` knows photographs by: their names without endings, which change when they are
        recompressed.
        """
        return [_stem(self.names[i]) for i in indices]

    def plan(self, indices: Sequence[int], key: Sequence[int], count: int, size: int) -> list[Cut]:
        """``count`` random crops of ``size`` x ``size``, decided by ``key`` (whole numbers from 0) alone.

        Every pixel is as likely as any other; smaller pictures are extended by reflection.  Flips and quarter
        turns.
        """
        rng = np.random.default_rng(list(key))
        areas = self.areas[np.asarray(indices)]
        cuts = []
        for which in rng.choice(len(indices), count, p=areas / areas.sum()):
            h, w = (max(side, size) for side in self.sizes[indices[which]])
            top, left = int(rng.integers(h - size + 1)), int(rng.integers(w - size + 1))
            turns, flip = int(rng.integers(4)), bool(rng.integers(2))
            cuts.append(Cut(indices[which], top, left, turns, flip))
        return cuts

    def cut(self, cuts: Sequence[Cut], size: int) -> Tensor:
        """The crops of a plan, uint8 ``[n, 3, size, size]``."""
        out = np.empty((len(cuts), size, size, 3), np.uint8)

        def fill(k: int) -> None:
            c = cuts[k]
            crop = enlarge(self.picture(c.picture), size)[c.top : c.top + size, c.left : c.left + size]
            crop = np.rot90(crop, c.turns)
            out[k] = crop[:, ::-1] if c.flip else crop

        for _ in (self._pool.map if self._pool else map)(fill, range(len(cuts))):
            pass
        return torch.from_numpy(out).permute(0, 3, 1, 2)

    def crops(self, indices: Sequence[int], key: Sequence[int], count: int, size: int) -> Tensor:
        """`plan` and `cut` in one."""
        return self.cut(self.plan(indices, key, count, size), size)

    def centres(self, indices: Sequence[int], size: int) -> Tensor:
        """The central crop of each picture, uint8 ``[n, 3, size, size]``."""
        out = []
        for i in indices:
            p = enlarge(self.picture(i), size)
            top, left = (p.shape[0] - size) // 2, (p.shape[1] - size) // 2
            out.append(p[top : top + size, left : left + size])
        return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2)


def _stem(name: str) -> str:
    name = name.partition(VARIANT)[0]
    return name.rpartition(".")[0] or name


def _reflect(side: int, size: int) -> np.ndarray:
    """Positions 0 .. side-1, extended by reflection to ``size`` when there are fewer."""
    return np.pad(np.arange(side), (0, max(0, size - side)), mode="symmetric")


def enlarge(picture: Pixels, size: int) -> Pixels:
    """Extended by reflection to at least ``size`` x ``size``."""
    h, w = picture.shape[:2]
    if h >= size and w >= size:
        return picture
    enlarged: Pixels = picture[np.ix_(_reflect(h, size), _reflect(w, size))]
    return enlarged
