"""The restoration filter of a pack: taps fitted to what the pack makes of photographs, a set for each level.

    python training/restoration.py PACK PHOTOS --out PACK [--each 3] [--side 448] [--seed 0]

A crop of every third photograph is coded at all trained levels as a file would be, and decoded without a
filter; least squares do the rest (`calotype.lab.pack.restoration`). The new pack differs from the old one in
its taps, and in the pixels that its own test expects. Files of both hold the same integers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import planned  # beside this file

from calotype.codec import levels, library, manifest, tensors
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.coder import DecoderNetworks, LevelPixels
from calotype.lab.pack.folder import publish
from calotype.lab.pack.restoration import Fit
from calotype.lab.train.data import Photos
from calotype.pack import STEPS
from calotype.pack.levels import RESTORATION
from calotype.records.script import guarded, parser_of


@guarded
def main() -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("base", metavar="PACK")
    options.add_argument("photos", type=Path)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--each", type=int, default=3, help="one photograph of so many [3]")
    options.add_argument("--side", type=int, default=448, help="of the crops, in pixels [448]")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    if given.each < 1 or given.side < 16 or given.side % 16:
        options.error("--each must be at least 1, and --side a multiple of 16")
    pack = library.load(given.base)
    photos = Photos.open(given.photos)
    print(publish(*with_filter(pack, fitted(pack, photos, given), photos, given), given.out))


def fitted(pack: Pack, photos: Photos, given: argparse.Namespace) -> np.ndarray[Any, Any]:
    """Taps ``[levels, 144, 20]``."""
    found = []
    for anchor in range(pack.manifest.levels):
        networks, fit = Networks(pack, pack.level(STEPS * anchor), 1), Fit()
        plain = LevelPixels(networks.level.vector, None)
        for photo in range(0, len(photos.names), given.each):
            crop = photos.crops([photo], (given.seed, photo), 1, given.side)[0].permute(1, 2, 0)
            pixels = np.ascontiguousarray(crop.numpy().astype(np.uint8))
            fit.add(pixels, pack.decoder.synthesis(plain, planned.coded(networks, pack, pixels)))
        found.append(fit.taps())
        print(f"level {STEPS * anchor}: largest tap {np.abs(found[-1]).max() / 32768:.2f}", flush=True)
    return np.stack(found)


def with_filter(
    pack: Pack, taps: np.ndarray[Any, Any], photos: Photos, given: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of a pack with those taps, and its manifest."""
    files = {
        name.split(".")[0]: dict(tensors.load(pack.file(name)))
        for name in (manifest.TABLES, manifest.NETWORKS, manifest.ENCODER)
    }
    tables = files["tables"] | {RESTORATION: taps}
    decoder = DecoderNetworks(files["networks"], kernel="portable")
    shown = []
    for number, z, r in zip(*(tables[f"golden_{name}"] for name in ("level", "z", "r")), strict=True):
        level = levels.at(tables, int(number))
        shown.append(decoder.synthesis(level.pixels, decoder.restore(level.steps, z, r.astype(np.int32))))
    files["tables"] = tables | {"golden_pixels": np.stack(shown)}
    about = json.loads(manifest.read(pack.path, manifest.NAME))
    about = {key: value for key, value in about.items() if key not in ("id", "files")}
    record = {
        "fitted to": f"crops of {given.side} pixels (training/restoration.py)",
        "photographs": len(range(0, len(photos.names), given.each)),
        "seed": given.seed,
    }
    about["training"] = about["training"] | {RESTORATION: record}
    about["synthesis_margin"] = margin(files["networks"])
    return files, about


def margin(networks: Iterable[str]) -> int:
    """Latents that a pixel depends on each way, with the filter: 3x3 kernels see one position more at 1/16,
    1/8 and 1/4, and what a filter sees lies within one at 1/4.
    """
    blocks16, blocks8, convs = (
        len({name.split(".")[2] for name in networks if name.startswith(f"synthesis.{part}.")})
        for part in ("blocks16", "blocks8", "convs")
    )
    return -(-(4 * blocks16 + 2 * blocks8 + convs + 1) // 4)


if __name__ == "__main__":
    sys.exit(main())
