"""What a picture's own taps bring: BD-rate of files with them against the same files without.

    python -m studies.product.own_taps KODAK=PHOTOS LARGE=PHOTOS [--qualities 10 30 55 80] [--effort 0]

Files of one pass are given own taps as well, which `calotype encode` does with effort alone: what they bring
hardly depends on it, and these are made quickly.
"""

from __future__ import annotations

import argparse
import json
import sys
from io import BytesIO
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image

import calotype
from calotype.bench.bdrate import Curve, bd_rate
from calotype.bench.names import find_images
from calotype.bitstream import Box, StreamWriter, parse
from calotype.codec import library, tiles
from calotype.codec.arrays import UInt8Array
from calotype.codec.effort import taps
from calotype.codec.effort.worth import AROUND, worth
from calotype.codec.metrics import psnr
from calotype.codec.pack import Pack
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, parser_of, run_as

HERE = Path(__file__).parent


def with_taps(data: bytes, own: bytes | None) -> bytes:
    """A file without metadata with own taps, or without."""
    file, out = parse(data), BytesIO()
    with StreamWriter(out, file.header, layer=file.layer, taps=own) as writer:
        for tile, pixels in zip(file.tiles, file.pixels, strict=True):
            writer.tile(tile, pixels=pixels)
    return out.getvalue()


def fitted(pack: Pack, data: bytes, pixels: UInt8Array) -> bytes | None:
    """The own taps that an encoder would choose; what errors are worth is said by the picture's middle."""
    rows, columns = (-(-side // 16) for side in pixels.shape[:2])
    high, wide = min(AROUND, rows), min(AROUND, columns)
    top, left = (rows - high) // 2, (columns - wide) // 2
    middle = tiles.cut(pixels, Box(left, top, left + wide, top + high))
    return taps.find(pack, data, pixels, worth(pack, parse(data).header.level, middle).error, 1)


def measure(pack: Pack, photo: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Points of a photograph: quality, bytes and PSNR without own taps and with, bytes of these."""
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    points = []
    for quality in given.qualities:
        data = calotype.encode(pixels, quality, pack=pack.path, effort=given.effort, threads=1)
        plain = with_taps(data, None)
        own = fitted(pack, plain, pixels)
        files = [plain, with_taps(plain, own)]
        shown = [np.asarray(calotype.decode(file, pack=pack.path, threads=1)) for file in files]
        bits, likeness = [len(file) for file in files], [round(psnr(pixels, s), 4) for s in shown]
        points.append({"quality": quality, "bytes": bits, "psnr": likeness, "taps": len(own or b"")})
    curves = [Curve([p["bytes"][k] for p in points], [p["psnr"][k] for p in points]) for k in (0, 1)]
    found = {"photo": photo.name, "bd_rate": round(bd_rate(*curves).value, 3), "points": points}
    print(json.dumps(found), flush=True)
    return found


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("sets", nargs="+", metavar="NAME=PHOTOS")
    options.add_argument("--qualities", nargs="+", type=float, default=[10, 30, 55, 80])
    options.add_argument("--effort", type=int, default=0)
    options.add_argument("--most", type=int, default=12, help="photographs of a set, evenly chosen")
    options.add_argument("--pack", default="photo-psnr")
    options.add_argument("--out", type=Path, default=HERE / "own_taps.json")
    given = options.parse_args(arguments)
    pack = library.load(given.pack)
    stored = {"pack": pack.manifest.id[:8], **provenance(run_as(__file__, arguments)), "sets": {}}
    for name, folder in (each.split("=", 1) for each in given.sets):
        photos = find_images([Path(folder)])
        found = [measure(pack, photo, given) for photo in photos[:: -(-len(photos) // given.most)]]
        stored["sets"][name] = {"bd_rate": round(mean(one["bd_rate"] for one in found), 3), "photos": found}
    given.out.write_text(json.dumps(stored | {"finished": now()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
