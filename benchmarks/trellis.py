"""Puts the residuals of a pack on a trellis (docs/FORMAT.md, *Trellis*): its networks stay as they are.

    python benchmarks/trellis.py PACK PHOTOS... --out FOLDER

What changes is the step of a residual and the tables that code it. They are counted on what coding crops
of photographs writes, at levels over the whole range: an encoder's plan follows from the tables, so that they
are counted several times, each time with those of the time before.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from calotype.bench.runner import find_images
from calotype.codec import latents, levels, manifest, tensors
from calotype.codec.bits import LOW_OCTAVES, phases, stages
from calotype.codec.masking import plain
from calotype.codec.pack import Pack
from calotype.coder import LatentCoder, TableSet, Wish
from calotype.coder.gaussian import log_scales
from calotype.errors import CalotypeError
from calotype.lab.models.calotype_latents import SCALE_MAX, SCALE_MIN, SCALES
from calotype.lab.pack.folder import check_target, publish
from calotype.lab.pack.tables import KINDS
from calotype.records.script import guarded

Array = npt.NDArray[Any]
HALF_STEP = 0.78
"""Of the step that a pack was trained with. On five pictures the pack for PSNR saved 3.7 % with 0.66, 4.0 %
with 0.72 and 4.2 % with 0.78."""
ROUNDS = 4
PRIOR = 300.0
"""Samples that a Gaussian law is worth beside what is counted; in the first round it is all there is."""
RADIUS = 400
LANES, NEXT = 4, ((0, 2), (5, 7), (1, 3), (6, 4), (2, 0), (4, 6), (3, 1), (7, 5))


def on_trellis(pack: Pack, crops: list[npt.NDArray[np.uint8]], folder: Path, half_step: float) -> str:
    """Write the pack with its residuals on a trellis and return its id; crops ``[H, W, 3]``, sides
    multiples of 16.

    Raises:
        ValueError: when ``folder`` is there and is not a pack, or ``pack`` has a trellis already.
    """
    if pack.trellis:
        raise ValueError(f"{pack.path}: its residuals are on a trellis already")
    check_target(folder)
    arrays = dict(tensors.load(pack.file(manifest.TABLES)))
    arrays["half_step"] = np.array([half_step], np.float32)
    for name in ("low_log_step", "high_log_step"):
        arrays[name] = (arrays[name] + round(65536 * np.log2(half_step))).astype(np.int32)
        if arrays[name].min() < 0:
            raise ValueError(f"{pack.path}: {name} is too small for half a step of {half_step}")
    tables = _calibrated(pack, arrays, crops, half_step)
    arrays |= {f"r_{name}": array for name, array in tables.to_arrays().items()}
    arrays |= _golden(pack, arrays)
    files = {"tables": arrays} | {
        name.partition(".")[0]: tensors.load(pack.file(name))
        for name in (manifest.NETWORKS, manifest.ENCODER)
    }
    fields = json.loads(manifest.read(pack.path, manifest.NAME))
    return publish(files, {k: v for k, v in fields.items() if k not in ("id", "files")}, folder)


def _calibrated(pack: Pack, arrays: Mapping[str, Array], crops: list[Array], half_step: float) -> TableSet:
    maps = [pack.encoder.analysis(np.ascontiguousarray(crop)) for crop in crops]
    top = pack.manifest.max_level
    numbers = np.random.default_rng(0).permutation(np.linspace(0, top, len(maps)).astype(int))
    laws, radii = _laws(half_step)
    tables = _tables(laws, radii, np.zeros_like(laws))
    for _ in range(ROUNDS):
        coder, counts = LatentCoder(arrays, pack.z_tables, tables), np.zeros_like(laws)
        for y, number in zip(maps, numbers):
            for third in range(3):
                at = levels.at(arrays, int(number + third * top // 3) % (top + 1))
                _count(pack, coder, at, y, half_step, counts)
        tables = _tables(laws, radii, counts)
    return tables


def _count(
    pack: Pack, coder: LatentCoder, at: levels.Level, y: Array, half_step: float, counts: Array
) -> None:
    wish = Wish(pack.unit, at.gains["low_gain"], at.gains["high_gain"], pack.keeps, half_step)
    finest = np.concatenate((wish.low_gain[-1], wish.high_gain[-1]))
    z = pack.encoder.hyper(y, finest, at.steps.z_mul, pack.manifest.z_limit)
    r, _ = coder.choose(at.parser, pack.decoder, at.steps, wish, y, z, plain(*y.shape[1:]))
    found = coder.classes(at.parser, z, r)
    table = latents.tables_of(found.index, found.second)
    coded = table % latents.CLASSES != 0
    number = np.clip(latents.numbers(r, found.second)[coded], -RADIUS, RADIUS)
    np.add.at(counts, (table[coded], number + RADIUS), 1)


def _laws(half_step: float) -> tuple[Array, list[int]]:
    """Probabilities ``[384, 801]`` of numbers: Gaussians of the classes' scales at the quantisers' values,
    and up to where a table has entries.
    """
    sigmas = np.tile(log_scales(SCALES, SCALE_MIN, SCALE_MAX), KINDS)
    n = np.arange(-RADIUS, RADIUS + 1)
    laws = []
    for second in (0, 1):
        values = half_step * (2 * n - second * np.sign(n))
        for sigma in sigmas:
            p = np.exp(-0.5 * (values / max(float(sigma), 0.3)) ** 2) + 1e-12
            laws.append(p / p.sum())
    radii = [max(1, min(int(np.ceil(4.2 * sigma + 0.5)), RADIUS - 1)) for sigma in sigmas]
    return np.stack(laws), 2 * radii


def _tables(laws: Array, radii: list[int], counts: Array) -> TableSet:
    pmfs = []
    for law, radius, seen in zip(laws, radii, counts, strict=True):
        whole = PRIOR * law + (seen + seen[::-1]) / 2
        inside = whole[RADIUS - radius : RADIUS + radius + 1]
        pmf = np.maximum(np.append(inside, whole.sum() - inside.sum()) / whole.sum(), 1e-7)
        pmfs.append(pmf / pmf.sum())
    return TableSet(pmfs, [-radius for radius in radii])


def _golden(pack: Pack, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The golden residuals become the numbers of others: so the classes of these, which torch found, hold
    for them.
    """
    found = []
    for number, z, n, index in zip(*(arrays[f"golden_{k}"] for k in ("level", "z", "r", "index"))):
        at, r = levels.at(arrays, int(number)), values(n.astype(np.int32), index)
        pixels = pack.decoder.synthesis(at.vector, pack.decoder.restore(at.steps, z, r))
        preview = pack.decoder.preview(at.steps, np.ascontiguousarray(r[: latents.LOW]))
        found.append((r.astype(np.int16), pixels, preview))
    names = ("golden_r", "golden_pixels", "golden_preview")
    return {name: np.stack(part) for name, part in zip(names, zip(*found))}


def values(numbers: npt.NDArray[np.int32], index: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """The residuals ``[M, h, w]`` of these numbers on the trellis, by their classes."""
    found = np.zeros_like(numbers)
    for part, sites in _order():
        states = [0] * LANES
        rows, columns = sites
        own, out = numbers[part, rows, columns], found[part, rows, columns]
        coded = np.argwhere(index[part, rows, columns] != 0)
        for turn, place in enumerate(map(tuple, coded)):
            n, state = int(own[place]), states[turn % LANES]
            out[place] = 2 * n - state % 2 * int(np.sign(n))
            states[turn % LANES] = NEXT[state][n % 2]
    return found


def _order() -> Iterator[tuple[slice, tuple[slice, slice]]]:
    low, high = slice(0, latents.LOW), slice(latents.LOW, None)
    yield from ((low, sites) for sites in stages(LOW_OCTAVES))
    yield from ((high, sites) for sites in phases())


@guarded
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pack", type=Path)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--half-step", type=float, default=HALF_STEP)
    parser.add_argument("--crops", type=int, default=48, help="photographs to take one of, evenly spread")
    given = parser.parse_args()
    files = find_images(given.photos)
    crops = [_middle(file) for file in files[:: max(1, len(files) // given.crops)][: given.crops]]
    print(on_trellis(Pack(given.pack), crops, given.out, given.half_step))


def _middle(file: Path) -> npt.NDArray[np.uint8]:
    """The middle 512 x 512 pixels, or what there is of them in multiples of 16."""
    with Image.open(file) as image:
        pixels = np.asarray(image.convert("RGB"))
    height, width = (min(512, side // 16 * 16) for side in pixels.shape[:2])
    if not height or not width:
        raise CalotypeError(f"{file}: smaller than 16 pixels")
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


if __name__ == "__main__":
    sys.exit(main())
