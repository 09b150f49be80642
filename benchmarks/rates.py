"""BD-rate of every picture between two packs, two versions of the code, or a pack and AVIF, from real files.

    python benchmarks/rates.py measure PICTURES... --out NEW.json [--pack PACK] [--every 1]
    python benchmarks/rates.py measure PICTURES... --out AVIF.json --avif
    python benchmarks/rates.py taken RESULTS.json... --codec avif-444-psnr --out AVIF.json
    python benchmarks/rates.py compare OLD.json NEW.json [DOCUMENT... --name rates]

PICTURES are files or folders; the name of a picture's folder is that of its set. ``measure`` stores bytes and
mean squared error (over R, G and B) of every picture and quality. It uses the public interface alone, so that
it runs with another version of the package, too (``OLD/.venv/bin/python benchmarks/rates.py measure ...``).
``taken`` takes them from what ``calotype bench`` stored instead.
``compare`` prints the table, or writes it between the marks ``<!-- benchmark:NAME -->`` and ``<!-- end -->``.
A point that another of the same curve beats is left out: where more bits once gave a worse picture, what is
compared is the best that could be had for those bits.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image

import calotype
from calotype.bench import tables
from calotype.bench.bdrate import Curve, bd_rate
from calotype.bench.codecs.avif import Avif
from calotype.bench.names import find_images
from calotype.records import markdown
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, made_of, parser_of

QUALITIES = (0, 5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 95)
"""From 96 on files hold pixels."""
LOW = (10, 30)
"""Qualities of our files between which the low rates are judged alone."""


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("pictures", nargs="+", type=Path)
    measuring.add_argument("--qualities", nargs="+", type=float)
    measuring.add_argument("--every", type=int, default=1, help="take one picture of so many")
    measuring.add_argument("--pack", help="instead of the one that ships for eyes, such as photo-psnr")
    measuring.add_argument("--avif", action="store_true", help="measure AVIF, tuned for PSNR")
    measuring.add_argument("--out", type=Path, required=True)
    taking = commands.add_parser("taken")
    taking.add_argument("results", nargs="+", type=Path)
    taking.add_argument("--codec", required=True, help="its name in the results")
    taking.add_argument("--out", type=Path, required=True)
    comparing = commands.add_parser("compare")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("documents", nargs="*", type=Path)
    comparing.add_argument("--name", default="rates")
    given = options.parse_args(arguments)
    if given.command == "measure":
        measure(given, sys.argv[1:] if arguments is None else arguments)
        return
    if given.command == "taken":
        runs = [made_of(path, lambda run: taken(run, given.codec)) for path in given.results]
        merged = runs[-1] | {"pictures": [picture for run in runs for picture in run["pictures"]]}
        given.out.write_text(json.dumps(merged) + "\n", encoding="utf-8")
        return
    text = made_of(given.new, lambda new: made_of(given.old, lambda old: compare(old, new)))
    if not given.documents:
        print(text)
    for document in given.documents:
        print(document, "updated" if tables.insert(document, given.name, text, "benchmark") else "unchanged")


def measure(given: argparse.Namespace, arguments: list[str]) -> None:
    """Store every picture's points as soon as they are there."""
    pictures = find_images(given.pictures)[:: given.every]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    stored = provenance(["python", "benchmarks/rates.py", *arguments]) | {"codec": "", "pictures": []}
    for path in pictures:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        points = []
        for quality, data, decoded in (_avif if given.avif else _ours)(pixels, given):
            points.append([quality, len(data), round(mse(pixels, decoded), 5)])
            stored["codec"] = "avif-444-psnr" if given.avif else pack_of(data)
        height, width = pixels.shape[:2]
        stored["pictures"].append(
            {"set": path.parent.name, "name": path.stem, "width": width, "height": height, "points": points}
        )
        stored["finished"] = now()
        given.out.write_text(json.dumps(stored) + "\n", encoding="utf-8")
        print(path.stem, *points, flush=True)


def taken(run: dict[str, Any], codec: str) -> dict[str, Any]:
    """The points of a codec in the results of ``calotype bench``, as ``measure`` stores them; the set is the
    name of the pictures' folder. Raises ValueError when it is not in them.
    """
    found = {}
    for image in run["images"]:
        points = [
            [row["quality"], row["bytes"], round(255**2 / 10 ** (row["metrics"]["psnr_rgb"] / 10), 5)]
            for row in run["measurements"]
            if row["codec"] == codec and row["image"] == image["name"]
        ]
        named = {"set": Path(image["path"]).parent.name, "name": Path(image["name"]).stem}
        found[image["name"]] = (
            named | {key: image[key] for key in ("width", "height")} | {"points": sorted(points)}
        )
    if not all(picture["points"] for picture in found.values()):
        raise ValueError(f"no measurements of {codec} for every picture")
    version = run["codecs"][codec]["version"]
    told = "pack " + version.split()[-1] if "pack " in version else codec
    about = {key: run[key] for key in ("command", "commit", "hardware", "libraries", "finished")}
    about["command"] = " ".join(about["command"])
    return about | {"codec": told, "pictures": list(found.values())}


def _ours(pixels: np.ndarray, given: argparse.Namespace) -> Iterator[tuple[float, bytes, np.ndarray]]:
    for quality in given.qualities or QUALITIES:
        data = calotype.encode(pixels, quality, pack=given.pack)
        yield quality, data, np.asarray(calotype.decode(data, pack=given.pack))


def _avif(pixels: np.ndarray, given: argparse.Namespace) -> Iterator[tuple[float, bytes, np.ndarray]]:
    codec = Avif("4:4:4", "psnr")
    for quality in given.qualities or codec.qualities:
        data = codec.encode(pixels, quality)
        yield quality, data, codec.decode(data)


def mse(original: np.ndarray, decoded: np.ndarray) -> float:
    """Mean squared error over all samples."""
    return float(np.square(original.astype(np.float32) - decoded).mean(dtype=np.float64))


def pack_of(data: bytes) -> str:
    """What names the pack of a file, as results tell it."""
    return f"pack {calotype.probe(data)['pack_id']}"


def compare(old: dict[str, Any], new: dict[str, Any]) -> str:
    """BD-rates of ``new`` against ``old`` for every picture of both, and their means by set, as Markdown.

    Raises ValueError when they have no picture in common.
    """
    before = {(p["set"], p["name"]): _curve(p) for p in old["pictures"]}
    rows: dict[str, list[tuple[str, float, float]]] = {}
    for picture in new["pictures"]:
        anchor, test = before.get((picture["set"], picture["name"])), _curve(picture)
        if anchor is not None:
            low = [_psnr(e) for quality, _, e in picture["points"] if LOW[0] <= quality <= LOW[1]]
            ends = (min(low), max(low)) if low else (math.inf, math.inf)
            rates = bd_rate(anchor, test).value, bd_rate(anchor, test, span=ends).value
            rows.setdefault(picture["set"], []).append((picture["name"], *rates))
    if not rows:
        raise ValueError("the two have no picture in common")
    lines = []
    for name, of in rows.items():
        means = [f"**{name}, mean of {len(of)}**", *(_percent([row[k] for row in of]) for k in (1, 2))]
        each = [[picture, *(_percent([rate]) for rate in rates)] for picture, *rates in of]
        heads = [f"BD-rate of {new['codec']} against {old['codec']}", "whole range", "qualities {} to {}"]
        heads[2] = heads[2].format(*LOW)
        lines += [*markdown.table(heads, [*each, means]), ""]
    told = " and ".join(
        f"{run['codec']} {run['finished'][:10]} at commit `{(run['commit'] or 'unknown')[:13]}`"
        for run in (old, new)
    )
    lines += markdown.wrapped(
        "BD-rate (PSNR over R, G and B) of each picture, then the mean, over the range that both have; from "
        f"the sizes of real files; lower is better. Measured: {told}."
    )
    return "\n".join(lines)


def _curve(picture: dict[str, Any]) -> Curve:
    return Curve([size for _, size, _ in picture["points"]], [_psnr(e) for *_, e in picture["points"]])


def _psnr(error: float) -> float:
    return 10 * math.log10(255**2 / error) if error else math.inf


def _percent(rates: list[float]) -> str:
    """The mean of those that could be had."""
    had = [rate for rate in rates if math.isfinite(rate)]
    return f"{fmean(had):+.1f} %" if had else ""


if __name__ == "__main__":
    sys.exit(main())
