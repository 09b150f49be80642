"""The networks of a pack at a level, and the integers of a tile that they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.levels import Level
from calotype.codec.pack import Pack

Floats = NDArray[np.float32]

SKIP = 0  # the class whose latents are 0 and take no bits


@dataclass(frozen=True)
class Networks:
    """The networks of a pack at one level, each using `threads` threads per call."""

    pack: Pack
    level: Level
    threads: int = 1

    def run(self, name: str, **feeds: NDArray[Any]) -> NDArray[Any]:
        """The output of an encoder's network `name`. The level's own inputs need not be given."""
        return self.pack.graph(name, self.threads).run({**self.level.feeds, **feeds})


@dataclass(frozen=True, eq=False)
class Latents:
    """The integers of a tile (as float32) and, where it is known, the class of each r: its table codes it."""

    z: Floats
    r: Floats
    index: NDArray[np.uint8] | None = None
