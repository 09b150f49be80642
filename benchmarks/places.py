"""Where in a picture bits and errors are: flat areas, borders, pure colours; the shares of a file's parts.

    python benchmarks/places.py flat PICTURES...       error by the variance of blocks, at AVIF's size
    python benchmarks/places.py borders PICTURES...    the last rows and columns, every size modulo 64
    python benchmarks/places.py seams PICTURES...      steps at the borders of tiles, and at other rows
    python benchmarks/places.py colours                largest error of the colours at the cube's corners
    python benchmarks/places.py shares PICTURES...     what the bits of files go to
        [--qualities ...] [--every 1] [--pack PACK] [--out docs/results/places/NAME.json]
    python benchmarks/places.py table docs/results/places docs/results/places/README.md

PICTURES are files or folders; the name of a picture's folder is that of its set. ``table`` writes what the
JSON files of a folder hold between the marks ``<!-- benchmark:NAME -->`` and ``<!-- end -->``, NAME being the
file's name. All but ``shares`` run with packs and versions from before, too (``--out .../flat-before.json``).
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

import calotype
from calotype.bench import tables
from calotype.bench.codecs.avif import Avif
from calotype.bench.names import find_images
from calotype.records import markdown
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, parser_of

BLOCK = 16
EDGES = (2, 20, 200)
"""Between the classes of blocks: variance of the luma, in squared levels of 0 to 255."""
BAND = 4
"""Rows and columns that count as the border."""
SIDE, AROUND = 320, 448
"""Of the crops: the smallest side, and that of the crop around it, in which the same pixels are no border."""
PERIOD = 64
TILE, RUN = 1024, 64
"""Pixels on a side of a tile, and along a border that count as one place."""
SIZES = ((288, 256), (203, 301))
"""Width and height of the pictures of one colour."""
Row = dict[str, Any]
Files = Iterable[tuple[str, np.ndarray]]


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    for name, (_, _, qualities) in KINDS.items():
        measuring = commands.add_parser(name)
        if name != "colours":
            measuring.add_argument("pictures", nargs="+", type=Path)
            measuring.add_argument("--every", type=int, default=1, help="take one picture of so many")
        measuring.add_argument("--qualities", nargs="+", type=float, default=list(qualities))
        measuring.add_argument("--pack", help="instead of the one that ships for eyes, such as photo-psnr")
        measuring.add_argument("--out", type=Path, default=Path("docs/results/places") / f"{name}.json")
    writing = commands.add_parser("table")
    writing.add_argument("folder", type=Path)
    writing.add_argument("document", type=Path)
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write_folder(given.folder, given.document, table, KINDS)
        return
    measure(given, sys.argv[1:] if arguments is None else arguments)


def measure(given: argparse.Namespace, arguments: list[str]) -> None:
    """Measure and store, after every picture."""
    given.out.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)  # flat ones need no pack
    probed = calotype.probe(calotype.encode(noise, 0, pack=given.pack))
    stored: Row = {"kind": given.command, "pack": probed["pack_id"]}
    stored |= provenance(["python", "benchmarks/places.py", *arguments]) | {"rows": []}
    paths = find_images(given.pictures)[:: given.every] if "pictures" in given else [Path("colours")]
    for path in paths:
        pixels = np.zeros((0, 0, 3), np.uint8)
        if "pictures" in given:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
        for row in KINDS[given.command][0](pixels, given.qualities, given.pack):
            stored["rows"].append({"set": path.parent.name, "picture": path.stem, **row})
        if given.command == "borders":
            stored["rows"] = together(stored["rows"])
        stored["finished"] = now()
        given.out.write_text(json.dumps(stored) + "\n", encoding="utf-8")
        print(path.stem, flush=True)
    print(table(stored))


def flat(pixels: np.ndarray, qualities: Sequence[float], pack: str | None) -> Iterable[Row]:
    """For every quality AVIF's file nearest in size to ours, then ours of its size; errors by class."""
    classes = np.digitize(variances(pixels), EDGES)
    codec = Avif("4:4:4", "psnr")
    for quality in qualities:
        size = len(calotype.encode(pixels, quality, pack=pack))
        theirs = nearest(lambda q: codec.encode(pixels, q), size)
        ours = calotype.encode(pixels, target_size=len(theirs), pack=pack)
        errors = [
            blocks(np.square(pixels.astype(np.float64) - x).mean(-1))
            for x in (np.asarray(calotype.decode(ours, pack=pack)), codec.decode(theirs))
        ]
        found = [
            {
                "blocks": int((classes == k).sum()),
                "mse": [round(float(e[classes == k].mean()), 3) for e in errors],
            }
            if (classes == k).any()
            else {"blocks": 0, "mse": None}
            for k in range(len(EDGES) + 1)
        ]
        yield {
            "quality": quality,
            "bytes": [len(ours), len(theirs)],
            "pixels": pixels.size // 3,
            "classes": found,
        }


def blocks(values: np.ndarray) -> np.ndarray:
    """Means [H // 16, W // 16] of the whole blocks of a map [H, W]."""
    h, w = (n // BLOCK for n in values.shape)
    return values[: h * BLOCK, : w * BLOCK].reshape(h, BLOCK, w, BLOCK).mean((1, 3))


def variances(pixels: np.ndarray) -> np.ndarray:
    """Variance of the luma (BT.601) in every whole block, [H // 16, W // 16]."""
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    return np.maximum(blocks(luma**2) - blocks(luma) ** 2, 0)


def nearest(encode: Callable[[int], bytes], size: int) -> bytes:
    """The file nearest to ``size`` bytes of an encoder whose qualities are 0 to 100."""
    tried, low, high = [], 0, 100
    while low <= high:
        quality = (low + high) // 2
        tried.append(encode(quality))
        low, high = (low, quality - 1) if len(tried[-1]) > size else (quality + 1, high)
    return min(tried, key=lambda data: abs(len(data) - size))


def borders(pixels: np.ndarray, qualities: Sequence[float], pack: str | None) -> Iterable[Row]:
    """Every residue of the width, each with another one of the height, cut from the middle of a picture."""
    if min(pixels.shape[:2]) < AROUND:
        raise ValueError(f"pictures of {AROUND} x {AROUND} pixels or more are needed")
    top, left = ((n - AROUND) // 2 for n in pixels.shape[:2])
    around = pixels[top : top + AROUND, left : left + AROUND]
    for quality in qualities:
        inner = _errors(around, quality, pack)
        for residue in range(PERIOD):
            w, h = SIDE + residue, SIDE + (5 * residue + 17) % PERIOD
            error = _errors(np.ascontiguousarray(around[:h, :w]), quality, pack)
            told = {"rest": error[:-BAND, :-BAND], "columns": error[:, -BAND:], "rows": error[-BAND:]}
            told |= {"columns inside": inner[:h, w - BAND : w], "rows inside": inner[h - BAND : h, :w]}
            means = {name: round(float(values.mean()), 3) for name, values in told.items()}
            yield {"quality": quality, "width": w, "height": h, **means}


def together(rows: list[Row]) -> list[Row]:
    """Means over the pictures of a set, for every quality and size: what the table needs, in little space."""
    found = []
    for key, of in _grouped(rows, "set", "quality", "width", "height").items():
        pictures = [row.get("pictures", 1) for row in of]
        errors = {
            name: round(sum(n * row[name] for n, row in zip(pictures, of)) / sum(pictures), 3)
            for name in ("rest", "columns", "rows", "columns inside", "rows inside")
        }
        named = dict(zip(("set", "quality", "width", "height"), key))
        found.append(named | {"pictures": sum(pictures)} | errors)
    return found


def _errors(pixels: np.ndarray, quality: float, pack: str | None) -> np.ndarray:
    """Squared error of each pixel, [H, W]."""
    decoded = np.asarray(calotype.decode(calotype.encode(pixels, quality, pack=pack), pack=pack))
    return np.square(pixels.astype(np.float64) - decoded).mean(-1)


def seams(pixels: np.ndarray, qualities: Sequence[float], pack: str | None) -> Iterable[Row]:
    """By how many levels the two sides of a tile's border lie further apart than in the original, in runs of
    pixels, mean and largest; and the same at other lines of the grid of 16. Nothing of pictures of one tile.
    """
    for quality in qualities if max(pixels.shape[:2]) > TILE else ():
        data = calotype.encode(pixels, quality, pack=pack)
        error = (np.asarray(calotype.decode(data, pack=pack)).astype(np.float32) - pixels).mean(-1)
        steps: dict[str, list[np.ndarray]] = {"border": [], "other": []}
        for lines in (error, error.T):
            runs = lines[:, : lines.shape[1] // RUN * RUN].reshape(len(lines), -1, RUN).mean(-1)
            for line in range(BLOCK, len(lines), BLOCK):
                steps["other" if line % TILE else "border"].append(np.abs(runs[line] - runs[line - 1]))
        found = {name: np.concatenate(values) for name, values in steps.items()}
        figures = {name: [round(float(of), 3) for of in (v.mean(), v.max())] for name, v in found.items()}
        yield {"quality": quality, "bytes": len(data), **figures}


def colours(_: np.ndarray, qualities: Sequence[float], pack: str | None) -> Iterable[Row]:
    """Pictures of one colour of the cube's corners."""
    for colour, quality in itertools.product(itertools.product((0, 255), repeat=3), qualities):
        worst = 0
        for width, height in SIZES:
            pixels = np.full((height, width, 3), colour, np.uint8)
            decoded = np.asarray(calotype.decode(calotype.encode(pixels, quality, pack=pack), pack=pack))
            worst = max(worst, int(np.abs(decoded.astype(int) - colour).max()))
        yield {"colour": colour, "quality": quality, "error": worst}


def shares(pixels: np.ndarray, qualities: Sequence[float], pack: str | None) -> Iterable[Row]:
    """Bits of each part of the files."""
    for quality in qualities:
        data = calotype.encode(pixels, quality, pack=pack)
        found = {name: round(bits, 1) for name, bits in parts(data, pack).items()}
        yield {"quality": quality, "bytes": len(data), "pixels": pixels.size // 3, "bits": found}


def parts(data: bytes, pack: Any) -> dict[str, float]:
    """The bits of a file by what they code, in this order; their sum is all of the file."""
    from calotype import bitstream  # late: versions from before have other modules
    from calotype.codec import bits, latents, library, tiles

    counted = bits.count(data, pack=pack)
    file = bitstream.parse(data)
    found = {"z": float(counted.z.sum())} | dict.fromkeys(LOW_PARTS, 0.0)
    low = latents.LOW
    if not all(file.pixels):
        loaded = library.of(file.header, pack)
        level = loaded.level(file.header.level).parser
    for tile, payload in enumerate(file.tiles):
        if file.pixels[tile]:
            continue
        box = tiles.latent_box(bitstream.tile_box(file.header, tile))
        z, r = loaded.coder.read(level, payload, box.height, box.width)
        classes = loaded.coder.classes(level, z, r)
        used = latents.tables_of(classes.index, classes.second)[:low]
        cost = loaded.r_tables.bits(latents.numbers(r, classes.second)[:low], used, skip=latents.SKIPPED)
        for name, (channels, step, past) in LOW_PARTS.items():
            at = cost[slice(*channels)]
            found[name] += float(at[:, ::step, ::step].sum())
            found[name] -= float(at[:, ::past, ::past].sum()) if past else 0.0
    for phase, total in enumerate(counted.high):
        found[f"channels 16 and up, phase {phase}"] = float(total)
    found["tiles of pixels"] = float(counted.pixels)
    return found | {"headers, rounding": 8 * len(data) - sum(found.values())}


def table(stored: Row) -> str:
    """The Markdown of a JSON file."""
    lines = KINDS[stored["kind"]][1](stored["rows"])
    commit = (stored["commit"] or "unknown")[:13]
    lines += ["", f"Pack {stored['pack']}, measured {stored['finished'][:10]} at commit `{commit}`:"]
    return "\n".join([*lines, f"`{stored['command']}`."])


def _grouped(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def flat_table(rows: list[Row]) -> list[str]:
    """Means over the pictures that have such blocks; the ratio is that of the means."""
    names = [
        f"below {EDGES[0]}",
        *(f"{a} to {b}" for a, b in itertools.pairwise(EDGES)),
        f"{EDGES[-1]} and more",
    ]
    cells = []
    for (name, quality), of in _grouped(rows, "set", "quality").items():
        for k, label in enumerate(names):
            share = fmean(
                row["classes"][k]["blocks"] / sum(c["blocks"] for c in row["classes"]) for row in of
            )
            pairs = [row["classes"][k]["mse"] for row in of if row["classes"][k]["mse"]]
            if pairs:
                ours, theirs = (fmean(column) for column in zip(*pairs))
                worst = max((a / b for a, b in pairs if b), default=float("nan"))
                figures = [
                    f"{ours:.2f}",
                    f"{theirs:.2f}",
                    f"{ours / theirs if theirs else float('nan'):.2f}",
                    f"{worst:.2f}",
                ]
                cells.append([name, f"{quality:g}", label, f"{100 * share:.0f} %", *figures])
    heads = ["set", "quality", "variance of the block", "blocks", "MSE", "AVIF's", "ratio", "worst picture"]
    return markdown.table(heads, cells, "lrlrrrrr")


def borders_table(rows: list[Row]) -> list[str]:
    """Ratios of means over pictures, for every residue; then the mean and the worst residue."""
    cells = []
    for (quality,), of in _grouped(rows, "quality").items():
        for side, size in (("columns", "width"), ("rows", "height")):
            for against, label in (("rest", "the rest"), (f"{side} inside", "the same pixels, no border")):
                ratios = {
                    key[0] % PERIOD: _mean(some, side) / _mean(some, against)
                    for key, some in _grouped(of, size).items()
                }
                worst = max(ratios, key=lambda residue: ratios[residue])
                figures = [f"{fmean(ratios.values()):.2f}", f"{ratios[worst]:.2f}", str(worst)]
                cells.append([f"{quality:g}", f"last {BAND} {side}", label, *figures])
    pictures = sum({row["set"]: row["pictures"] for row in rows}.values())
    return [
        *markdown.table(
            ["quality", "MSE of", "over that of", "mean", "worst residue's", "residue"], cells, "rllrrr"
        ),
        "",
        f"Photographs: {pictures}; sizes: all residues modulo {PERIOD}.",
    ]


def _mean(rows: list[Row], name: str) -> float:
    """Over the pictures of all sets."""
    return sum(row["pictures"] * row[name] for row in rows) / sum(row["pictures"] for row in rows)


def seams_table(rows: list[Row]) -> list[str]:
    """Means over the pictures of a set, and the worst of them."""
    cells = []
    for (name, quality), of in _grouped(rows, "set", "quality").items():
        border, other = (fmean(row[where][0] for row in of) for where in ("border", "other"))
        worst = max(of, key=lambda row: row["border"][0] / row["other"][0])
        place = max(of, key=lambda row: row["border"][1])
        figures = [f"{border:.2f}", f"{other:.2f}", f"{border / other:.2f}"]
        figures += [f"{worst['border'][0] / worst['other'][0]:.2f} ({worst['picture']})"]
        figures += [
            f"{place['border'][1]:.1f} ({place['picture']})",
            f"{max(row['other'][1] for row in of):.1f}",
        ]
        cells.append([f"{name}, {len(of)}", f"{quality:g}", *figures])
    heads = [
        "set, pictures",
        "quality",
        "step at borders of tiles",
        "at other lines",
        "ratio",
        "worst picture's",
    ]
    return markdown.table([*heads, "largest at a border", "at another line"], cells, "lrrrrrrr")


def colours_table(rows: list[Row]) -> list[str]:
    """Largest error, one column a quality."""
    heads = ["colour", *(f"quality {quality:g}" for quality in dict.fromkeys(row["quality"] for row in rows))]
    cells: dict[str, list[str]] = {}
    for row in rows:
        cells.setdefault(str(tuple(row["colour"])), []).append(str(row["error"]))
    return markdown.table(heads, [[colour, *errors] for colour, errors in cells.items()])


def shares_table(rows: list[Row]) -> list[str]:
    """Means over pictures of the shares, one column a quality."""
    lines: list[str] = []
    for (name,), of in _grouped(rows, "set").items():
        columns = _grouped(of, "quality")
        rates = [fmean(8 * r["bytes"] / r["pixels"] for r in some) for some in columns.values()]
        cells = [
            [
                part,
                *(
                    f"{fmean(100 * r['bits'][part] / (8 * r['bytes']) for r in some):.1f} %"
                    for some in columns.values()
                ),
            ]
            for part in of[0]["bits"]
        ]
        pictures = len({row["picture"] for row in of})
        heads = [f"{name}, mean of {pictures}: share at", *(f"{rate:.3f} bpp" for rate in rates)]
        lines += ["", *markdown.table(heads, cells)]
    return lines[1:]


LOW_PARTS = {
    "channels 0 to 2, every eighth site": ((0, 3), 8, None),
    "channels 0 to 2, the others of every second site": ((0, 3), 2, 8),
    "channels 0 to 2, the others": ((0, 3), 1, 2),
    "channels 3 to 11, every second site": ((3, 12), 2, None),
    "channels 3 to 11, the others": ((3, 12), 1, 2),
    "channels 12 to 15": ((12, 16), 1, None),
}
"""Channels, the step between sites each way, and the step between those that are left out."""
KINDS: dict[str, tuple[Callable[..., Iterable[Row]], Callable[[list[Row]], list[str]], tuple[float, ...]]] = {
    "flat": (flat, flat_table, (20, 40)),
    "borders": (borders, borders_table, (30, 60)),
    "seams": (seams, seams_table, (20, 50, 80)),
    "colours": (colours, colours_table, (60, 90, 100)),
    "shares": (shares, shares_table, (5, 15, 30, 50)),
}
"""By kind: what measures a picture, its table, and the qualities."""


if __name__ == "__main__":
    sys.exit(main())
