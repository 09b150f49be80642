"""Where the bits of a file went: how many to each stage of its integers, and to each place of the picture.

What an integer costs follows from the table that codes it, -log2 of its share; the sum is that of the tiles'
payloads but for some bytes. No network runs. Tiles of pixels are told as one part, and the layer is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, Limits, parse, tile_box
from calotype.codec import latents, layer, library, tiles
from calotype.codec.latents import CELL, PHASES, Networks
from calotype.codec.pack import Pack
from calotype.coder import pixel_bits
from calotype.errors import FormatError
from calotype.pack import STRIDE
from calotype.pack.tables import LOW

Part = Literal["all", "z", "low", "high", "pixels", "layer"]
STAGED = ("z", "low", "high")
Z_OCTAVES, LOW_OCTAVES = 2, 3
_CHANNELS = 32  # counted at a time, for little memory


@dataclass
class Bits:
    """What was counted, in bits.

    z, low, high: by stage, from coarse to fine: base, then three phases per octave; of high, the four phases
    latents:      how many there are, M for every 16 x 16 pixels
    skipped:      how many of them took no bits
    payload:      what the tiles' payloads and the layer have
    pixels:       those of them that tiles of pixels have
    layer:        those of them that lie over tiles of latents
    damaged:      the tiles that were not counted, for they are damaged or not there
    maps:         [ceil(H / 16), ceil(W / 16)] bits of each place, by part; z is spread over its cells
    """

    z: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1 + 3 * Z_OCTAVES))
    low: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1 + 3 * LOW_OCTAVES))
    high: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(PHASES)))
    latents: int = 0
    skipped: int = 0
    payload: int = 0
    pixels: int = 0
    layer: int = 0
    damaged: list[int] = field(default_factory=list)
    maps: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def of(self, part: Part) -> NDArray[np.float64]:
        """The map of a part, or of all."""
        return sum(self.maps.values(), np.zeros(())) if part == "all" else self.maps[part]

    def to_dict(self) -> dict[str, Any]:
        """All but the maps, ready for JSON."""
        found: dict[str, Any] = {part: [round(float(n), 1) for n in getattr(self, part)] for part in STAGED}
        return found | {
            "latents": self.latents,
            "skipped": self.skipped,
            "payload": self.payload,
            "pixels": self.pixels,
            "layer": self.layer,
            "damaged_tiles": self.damaged,
        }


def count(
    data: bytes | bytearray | memoryview,
    *,
    pack: str | Path | Pack | None = None,
    limits: Limits | None = None,
    keep_damaged: bool = False,
) -> Bits:
    """Count the bits of a .calo file, with ``keep_damaged`` those of its tiles that are whole.

    Raises FormatError, also where no tile is whole; LimitError; PackError when its pack is not here.
    """
    file = parse(data, limits=limits, damaged="keep" if keep_damaged else "error")
    header = file.header
    if header.lab:
        raise FormatError("a laboratory file does not say where its bits went", field="flags")
    whole = tiles.latent_box(Box(0, 0, header.width, header.height))
    bits = Bits(maps={part: np.zeros((whole.height, whole.width)) for part in (*STAGED, "pixels", "layer")})
    bits.damaged = [tile for tile, ok in enumerate(file.tile_ok) if not ok]
    if len(bits.damaged) == len(file.tiles):
        raise file.error or FormatError("no tile is whole")
    networks = None
    if not all(file.pixels):
        found = library.of(header, pack)
        networks = Networks(found, found.level(header.level))
    for tile, payload in enumerate(file.tiles):
        if not file.tile_ok[tile]:
            continue
        bits.payload += 8 * len(payload)
        box = tile_box(header, tile)
        place = tiles.inside(tiles.latent_box(box), Box(0, 0, 0, 0))[1:]
        try:
            if file.pixels[tile]:
                bits.pixels += 8 * len(payload)
                channels = 1 if header.grey else 3
                bits.maps["pixels"][place] = pixel_bits(payload, box.height, box.width, channels, STRIDE)
            else:
                assert networks is not None
                _count(bits, networks, payload, tiles.latent_box(box))
                if file.layer and (part := file.layer[tile]):
                    bits.layer += 8 * len(part)
                    bits.payload += 8 * len(part)
                    bits.maps["layer"][place] = layer.bits(part, box.height, box.width, header.grey, STRIDE)
        except FormatError as error:
            raise FormatError(str(error), field=error.field or f"tile {tile}") from None
    return bits


def _count(bits: Bits, networks: Networks, payload: memoryview, box: Box) -> None:
    """Add the bits of a tile."""
    h, w = box.height, box.width
    coder, pack, level = networks.pack.coder, networks.pack, networks.level.parser
    z, r = coder.read(level, payload, h, w)
    found = coder.classes(level, z, r)
    place = tiles.inside(box, Box(0, 0, *bits.maps["z"].shape[::-1]))[1:]
    bits.latents += r.size
    bits.skipped += int((found.index[LOW:] == 0).sum())

    z_bits = pack.z_tables.bits(z - found.z_shift, found.z_table).sum(axis=0)
    for number, sites in enumerate(stages(Z_OCTAVES)):
        bits.z[number] += z_bits[sites].sum()
    over = np.repeat(np.repeat(z_bits, CELL, 0), CELL, 1)[:h, :w]  # a cell at the edge covers fewer latents
    rows, columns = (np.minimum(CELL, n - np.arange(n) // CELL * CELL) for n in (h, w))
    bits.maps["z"][place] += over / (rows[:, None] * columns)

    tables = latents.tables_of(found.index, found.second)
    r = latents.numbers(r, found.second)
    for part, first, end in (("low", 0, LOW), ("high", LOW, len(r))):
        cost = np.zeros((h, w))
        for c in range(first, end, _CHANNELS):
            some = slice(c, min(c + _CHANNELS, end))
            cost += pack.r_tables.bits(r[some], tables[some], skip=latents.SKIPPED).sum(axis=0)
        by_stage = getattr(bits, part)
        for number, sites in enumerate(stages(LOW_OCTAVES) if part == "low" else phases()):
            by_stage[number] += cost[sites].sum()
        bits.maps[part][place] += cost


def stages(octaves: int) -> Iterator[tuple[slice, slice]]:
    """The sites of each stage of a map, in the order of coding (docs/FORMAT.md, *Tile payload*)."""
    yield slice(0, None, 2**octaves), slice(0, None, 2**octaves)
    for octave in reversed(range(octaves)):
        for i, j in PHASES[1:]:
            yield slice(i << octave, None, 2 << octave), slice(j << octave, None, 2 << octave)


def phases() -> Iterator[tuple[slice, slice]]:
    for i, j in PHASES:
        yield slice(i, None, 2), slice(j, None, 2)
