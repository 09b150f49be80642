"""Would a filter behind the decoder pay whose taps depend on what is around a pixel?

    python -m studies.product.filters PHOTOS PICTURES... --tune psnr|eyes --out filters.json

Video codecs have one (VVC's adaptive loop filter, AV1's constrained directional enhancement filter). Here:
luma alone, a class for every pixel by how busy it is (16 steps) and which way edges run (9), and for each
class taps within 3 pixels that are fitted to PHOTOS by least squares. They would be a part of the pack, so
that a file says nothing of them. What PICTURES gain is stored with where it comes from. Middles of 640 x 480
pixels at most.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.bench.bdrate import Curve, bd_rate
from calotype.bench.runner import find_images
from calotype.codec.metrics import psnr
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.records import provenance
from calotype.records.script import guarded, parser_of, run_as

Floats = NDArray[np.float64]
Tune = Literal["eyes", "psnr"]
REACH = 3
TAPS = [
    (i, j)
    for i in range(REACH + 1)
    for j in range(-REACH, REACH + 1)
    if abs(i) + abs(j) <= REACH + 1 and (i, j) > (0, 0)
]
"""Half of them: each weighs what its pixel and the one opposite differ from the middle."""
BUSY = np.geomspace(0.5, 80, 15)
LUMA = np.array([0.299, 0.587, 0.114])
DAMPING = 100.0


def classes(luma: Floats) -> NDArray[np.intp]:
    """The class of each pixel, 0 .. 143: 9 * how busy + direction (0 none; 1 to 4 weak, 5 to 8 strong)."""
    near = _near(luma)
    bends = [_box(np.abs(near(i, j) + near(-i, -j) - 2 * luma)) for i, j in ((0, 1), (1, 0), (1, 1), (1, -1))]
    straight, slanted = (np.maximum(a, b) / (np.minimum(a, b) + 0.1) for a, b in (bends[:2], bends[2:]))
    way = np.where(
        straight > slanted, np.where(bends[0] > bends[1], 1, 2), np.where(bends[2] > bends[3], 3, 4)
    )
    strength = np.maximum(straight, slanted)
    way = np.where(strength < 1.5, 0, np.where(strength < 2.5, way, way + 4))
    return np.asarray(np.searchsorted(BUSY, bends[0] + bends[1]) * 9 + way)


def taps_of(luma: Floats) -> Floats:
    """What the taps weigh, [height, width, taps]."""
    near = _near(luma)
    return np.stack([near(i, j) + near(-i, -j) - 2 * luma for i, j in TAPS], -1)


def fit(pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]) -> dict[int, Floats]:
    """Weights of the taps for each class, from (original, decoded) pixels."""
    sums: dict[int, Floats] = {}
    for original, decoded in pairs:
        luma = decoded @ LUMA
        rows = np.concatenate((taps_of(luma), (original @ LUMA - luma)[..., None]), -1).reshape(
            -1, len(TAPS) + 1
        )
        kind = classes(luma).reshape(-1)
        for one in np.unique(kind):
            some = rows[kind == one]
            sums[int(one)] = sums.get(int(one), 0) + some.T @ some
    n, damping = len(TAPS), DAMPING * np.eye(len(TAPS))
    solve = np.linalg.solve
    return {one: np.asarray(solve(s[:n, :n] + damping, s[:n, n]), float) for one, s in sums.items()}


def filtered(decoded: NDArray[np.uint8], weights: dict[int, Floats]) -> NDArray[np.uint8]:
    """Decoded pixels after the filter: R, G and B change by what luma does."""
    luma = decoded @ LUMA
    kind, values, change = classes(luma), taps_of(luma), np.zeros_like(luma)
    for one in np.unique(kind):
        if int(one) in weights:
            change[kind == one] = values[kind == one] @ weights[int(one)]
    return np.asarray(np.clip(np.rint(decoded + change[..., None]), 0, 255), np.uint8)


def _near(luma: Floats) -> Any:
    height, width = luma.shape
    padded = np.pad(luma, REACH, mode="edge")
    return lambda i, j: padded[REACH + i : REACH + i + height, REACH + j : REACH + j + width]


def _box(values: Floats, size: int = 5) -> Floats:
    """Means of squares of pixels around each."""
    padded = np.pad(values, size // 2, mode="edge")
    for axis in (0, 1):
        padded = np.mean(np.lib.stride_tricks.sliding_window_view(padded, size, axis), -1)
    return padded


def _coded(path: Path, quality: int, tune: Tune) -> tuple[NDArray[np.uint8], NDArray[np.uint8], float]:
    with Image.open(path) as image:
        image = image.convert("RGB")
    width, height = (min(side, most) for side, most in zip(image.size, (640, 480)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    image = image.crop((left, top, left + width, top + height))
    data = calotype.encode(image, quality=quality, tune=tune, threads=1)
    return np.asarray(image), np.asarray(calotype.decode(data, threads=1)), 8 * len(data) / (width * height)


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    options.add_argument("photos", type=Path, help="folder to fit to")
    options.add_argument("pictures", type=Path, nargs="+")
    options.add_argument("--every", type=int, default=9, help="take one of so many photos")
    options.add_argument("--tune", choices=("psnr", "eyes"), default="psnr")
    options.add_argument("--qualities", type=int, nargs="+", default=[15, 30, 50, 70])
    options.add_argument("--out", type=Path, required=True)
    given = options.parse_args(arguments)
    stored = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    rows: list[dict[str, Any]] = []
    for quality in given.qualities:
        photos = find_images([given.photos])[:: given.every]
        weights = fit([_coded(path, quality, given.tune)[:2] for path in photos])
        for path in find_images(given.pictures):
            original, decoded, bpp = _coded(path, quality, given.tune)
            row: dict[str, Any] = {"picture": path.stem, "quality": quality, "bpp": round(bpp, 5)}
            for name, pixels in (("before", decoded), ("after", filtered(decoded, weights))):
                row[name] = {
                    "psnr": round(psnr(original, pixels), 4),
                    "ssimulacra2": round(ssimulacra2(original, pixels), 3),
                }
            rows.append(row)
    stored[given.tune] = provenance.provenance(run_as(__file__, arguments)) | {
        "files": rows,
        "gains": gains(rows),
    }
    given.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(given.tune, stored[given.tune]["gains"])


def gains(rows: list[dict[str, Any]]) -> dict[str, float]:
    """BD-rate in percent by each measure, the mean over pictures."""
    found = {}
    for measure in ("psnr", "ssimulacra2"):
        each = []
        for name in sorted({row["picture"] for row in rows}):
            mine = [row for row in rows if row["picture"] == name]
            before, after = (
                Curve([row["bpp"] for row in mine], [row[when][measure] for row in mine])
                for when in ("before", "after")
            )
            each.append(float(bd_rate(before, after).value))
        found[measure] = round(float(np.mean(each)), 2)
    return found


if __name__ == "__main__":
    sys.exit(main())
