"""Variants of photographs, made once when they are decoded: enlarged, reduced, and pictures that are drawn.

What `calotype.lab.train.varied` makes for each crop anew, which a GPU would wait for, is stored here beside
the photographs, and crops are cut from all alike.  Every pixel is as likely as any other, so areas decide the
shares: of all crops, about 60 % are from photographs as they are, 20 % from enlarged ones, 15 % from reduced
ones, and 5 % are drawn.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from calotype.lab.train.stores import VARIANT, Pixels, Source, decode, pack_folder

ENLARGED, REDUCED = (1.2, 2.0), (0.5, 0.9)
"""Factors of enlarged and of reduced pictures."""
CORNER = 0.6
"""Share of flat colours that are corners of the cube: black, white, full red ..."""
LARGER, SMALLER, DRAWN = 0.20 / 0.60, 0.15 / 0.60, 0.05 / 0.60
"""Areas of what is made of a photograph, in areas of the photograph."""
SIDE = 256
"""Of the smallest window; a photograph that is smaller is taken as a whole."""
DRAWING = 512
"""Side of a drawn picture."""


def pack_varied(folder: Path, packed: Path, held_out: Collection[str]) -> None:
    """As `pack_folder`, with variants of all photographs but those whose stems are held out."""
    pack_folder(folder, packed, partial(varied, held_out=frozenset(held_out)))


def varied(source: Source, held_out: Collection[str]) -> list[tuple[str, Pixels]]:
    """A photograph and its variants, decided by its stem, with their names."""
    photo, stem = decode(source), PurePath(source.name).with_suffix("").as_posix()
    found = [(source.name, photo)]
    if stem in held_out:
        return found
    key = list(hashlib.sha256(stem.encode()).digest()[:16])
    rng, area = np.random.default_rng(key), photo.shape[0] * photo.shape[1]
    for name, factors, share in (("larger", ENLARGED, LARGER), ("smaller", REDUCED, SMALLER)):
        picture = scaled(photo, rng.uniform(*factors), share * area, rng)
        found.append((f"{source.name}{VARIANT}{name}", picture))
    # Some photographs have more drawings than others, so that the mean is right.
    for k in range(math.floor(DRAWN * area / DRAWING**2 + rng.random())):
        found.append((f"{source.name}{VARIANT}drawn-{k}", drawing((*key, k), DRAWING)))
    return found


def scaled(photo: Pixels, factor: float, area: float, rng: np.random.Generator) -> Pixels:
    """A random window of a photograph, scaled by ``factor`` to about ``area`` pixels, at most its whole.

    photo: uint8 ``[H, W, 3]``; so is the result, each side at least `SIDE` where the photograph gives that.
    """
    height, width = photo.shape[:2]
    part = min(1.0, math.sqrt(area / (height * width)) / factor)  # of each side
    sides = [min(full, max(round(part * full), math.ceil(SIDE / factor))) for full in (height, width)]
    top, left = int(rng.integers(height - sides[0] + 1)), int(rng.integers(width - sides[1] + 1))
    window = Image.fromarray(photo[top : top + sides[0], left : left + sides[1]])
    how = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    size = (max(1, round(factor * sides[1])), max(1, round(factor * sides[0])))
    return np.asarray(window.resize(size, how))


def drawing(key: Sequence[int], size: int) -> Pixels:
    """One colour (40 %), two with an edge between (45 %), or a gradient, uint8 ``[size, size, 3]``."""
    rng = np.random.default_rng([*key, 1])

    def colour() -> np.ndarray:
        if rng.random() < CORNER:
            return 255.0 * rng.integers(0, 2, 3)
        return rng.integers(0, 256, 3).astype(np.float64)

    first, second, kind = colour(), colour(), rng.random()
    along = np.zeros(size)
    if kind < 0.45:
        along[rng.integers(size) :] = 1
    elif kind < 0.6:
        along = np.linspace(0, 1, size)
    line = first + along[:, None] * (second - first)
    picture = np.broadcast_to(line[:, None], (size, size, 3)).round().astype(np.uint8)
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture.transpose(1, 0, 2))
