"""The networks of a pack at a level, and the integers of a tile that they make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.codec.levels import Level
from calotype.codec.pack import Pack

Floats = NDArray[np.float32]

SKIP = 0  # the class whose latents are 0 and take no bits


@dataclass(frozen=True)
class Networks:
    """The networks of a pack at one level.

    threads: how many may be used for a tile
    """

    pack: Pack
    level: Level
    threads: int = 1


@dataclass(frozen=True, eq=False)
class Latents:
    """The integers of a tile, r as float32 where a search is between them; where known, the class of each r,
    whose table codes it, and their code as bytes.
    """

    z: NDArray[np.int32]
    r: NDArray[np.int32] | Floats
    index: NDArray[np.uint8] | None = None
    payload: bytes | None = None
