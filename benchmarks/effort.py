"""What encoder effort gains against its time, on photographs, with real files.

    python benchmarks/effort.py measure PICTURES... [--efforts 1 3 5 7 9] [--qualities 10 30 50 70 90]
        [--threads 2] [--every 1] [--pack PACK] [--out docs/results/effort.json]
    python benchmarks/effort.py table docs/results/effort.json docs/guide.md

``effort-rounding.json`` holds two such files, of a commit that rounded residuals and of one with a trellis;
its table is of both, against closed-form rounding.
With the pack for eyes: ``--tune eyes --out docs/results/effort-eyes.json``, and the table of that.

PICTURES are files or folders. Every (picture, quality, effort) is encoded, decoded and stored as soon as it
is done; what is stored for the same pack is not measured again, so an interrupted run goes on. After a change
of the code, remove the file.
``table`` writes the table between the marks ``<!-- benchmark:effort -->`` (or ``effort-eyes``, as the file
is called) and ``<!-- end -->`` of documents.
BD-rate is the mean over the pictures of each one's against effort 0, by PSNR over R, G and B, or by
SSIMULACRA2 for a pack for eyes. That of mean curves will not do here: where effort moves some pictures along
their curves and leaves others as they are, it shows a gain that no picture has.
Times are seconds per megapixel, by the clock and of CPU, the latter summed over all threads, so that other
work on the machine hardly counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import numpy as np
from PIL import Image

from calotype.bench import tables
from calotype.bench.bdrate import bd_rate_per_image
from calotype.bench.runner import find_images
from calotype.codec import library
from calotype.codec.decoder import decode
from calotype.codec.encoder import MAX_EFFORT, encode
from calotype.codec.image import Picture
from calotype.codec.metrics import psnr
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.records import markdown, provenance
from calotype.records.script import guarded, made_of, parser_of

NAME, ROUNDING = "effort", "effort-rounding"
PLAIN = -1
"""Stored as effort by the commit that rounded: one pass that rounds to the nearest integer."""
MEASURES = {"psnr": "PSNR", "ssimulacra2": "SSIMULACRA2"}


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    measuring = tables.add_commands(options, NAME)
    measuring.add_argument("--qualities", nargs="+", type=float, default=[10, 30, 50, 70, 90])
    measuring.add_argument("--every", type=int, default=1, help="take one picture of so many")
    measuring.add_argument(
        "--efforts", nargs="+", type=int, default=[1, 3, 5, 7, 9], choices=range(MAX_EFFORT + 1)
    )
    measuring.add_argument("--threads", type=int, default=2)
    measuring.add_argument("--tune", choices=("psnr", "eyes"), default="psnr", help="which pack; see --pack")
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write(given, rounding if given.results.stem == ROUNDING else table, given.results.stem)
        return
    measure(given, sys.argv[1:] if arguments is None else arguments)


def measure(given: argparse.Namespace, arguments: list[str]) -> None:
    """Measure what is not stored yet, storing after every file."""
    given.out.parent.mkdir(parents=True, exist_ok=True)
    loaded = library.load(given.pack or library.tuned(given.tune))
    pack = loaded.manifest
    measure = "psnr" if pack.distortion == "mse" else "ssimulacra2"
    about = {"pack": f"{pack.name} {pack.id[:8]}", "threads": given.threads, "measure": measure}
    stored: dict[str, Any] = {}
    if given.out.exists():
        stored = made_of(given.out, dict)
    if any(stored.get(key) != value for key, value in about.items()):
        stored = {}
    stored |= about | provenance.provenance(["python", "benchmarks/effort.py", *arguments])
    rows: list[dict[str, Any]] = stored.setdefault("files", [])
    known = {(row["picture"], row["quality"], row["effort"]) for row in rows}
    for path in find_images(given.pictures)[:: given.every]:
        with Image.open(path) as image:
            picture = Picture.from_pil(image.convert("RGB"))
        for effort in sorted({0, *given.efforts}):
            for quality in given.qualities:
                if (path.stem, quality, effort) in known:
                    continue
                row = _one(picture, quality, effort, given.threads, loaded)
                rows.append({"picture": path.stem, "quality": quality, "effort": effort, **row})
                stored["finished"] = provenance.now()
                given.out.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    print(table(stored))


def _one(picture: Picture, quality: float, effort: int, threads: int, pack: Pack) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    data = encode(picture, quality=quality, effort=effort, pack=pack, threads=threads).data
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    decoded = decode(data, pack=pack, threads=threads).picture.pixels
    pixels = picture.width * picture.height
    return {
        "bpp": round(8 * len(data) / pixels, 6),
        "psnr": round(psnr(picture.pixels, decoded), 5),
        "ssimulacra2": round(ssimulacra2(picture.pixels, decoded), 4),
        "wall": round(wall / pixels * 1e6, 3),
        "cpu": round(cpu / pixels * 1e6, 3),
    }


def _median(rows: list[dict[str, Any]], key: str) -> str:
    """Empty where it was not kept: on a machine that was busy only CPU time says something."""
    return f"{float(np.median([row[key] for row in rows])):.3g}" if all(key in row for row in rows) else ""


def table(stored: dict[str, Any]) -> str:
    """Gain and time of every effort that has been measured for all pictures, as Markdown."""
    rows = stored["files"]
    efforts = sorted({row["effort"] for row in rows})
    wanted = {(row["picture"], row["quality"]) for row in rows if row["effort"] == 0}
    by_effort = {e: [row for row in rows if row["effort"] == e] for e in efforts}
    done = [e for e in efforts if wanted <= {(row["picture"], row["quality"]) for row in by_effort[e]}]
    cells = []
    measure = stored.get("measure", "psnr")
    anchor = tables.curves(by_effort[0], measure)
    for effort in done:
        found = bd_rate_per_image(anchor, tables.curves(by_effort[effort], measure))
        gain = "" if effort == 0 else f"{found.mean:+.2f} %"
        cells.append([str(effort), gain, *(_median(by_effort[effort], key) for key in ("wall", "cpu"))])
    pictures = len({picture for picture, _ in wanted})
    qualities = len({quality for _, quality in wanted})
    where = stored["hardware"]
    lines = [
        *markdown.table(["effort", "BD-rate", "seconds per megapixel", "CPU seconds"], cells, "rrrr"),
        "",
        f"BD-rate ({MEASURES[measure]}) against effort 0, mean of {pictures} pictures at "
        f"{qualities} qualities each, from the sizes of real files; lower is better. Times are medians; CPU "
        f"time is that of all of the {stored['threads']} threads together, on {where['processor']}. "
        f"Pack {stored['pack']}, measured {stored['finished'][:10]} "
        f"at commit `{(stored['commit'] or 'unknown')[:13]}`.",
    ]
    return "\n".join(lines)


def rounding(stored: dict[str, Any]) -> str:
    """What one pass that rounded, one with a trellis, and a search behind that gain, as Markdown."""
    rows = [
        (found, effort, tables.curves([row for row in found["files"] if row["effort"] == effort]))
        for found in (stored["rounding"], stored["trellis"])
        for effort in sorted({row["effort"] for row in found["files"]})
    ]
    anchor = next(curves for _, effort, curves in rows if effort == 0)
    names = {PLAIN: "one pass, to the nearest integer", 0: "one pass, closed-form rounding"}
    cells = []
    for found, effort, curves in rows:
        trellis = found is stored["trellis"]
        name = f"trellis, effort {effort}" if trellis else names[effort]
        gain = "" if curves is anchor else f"{bd_rate_per_image(anchor, curves).mean:+.1f} %"
        cells.append([name, gain])
    where = [
        f"pack {found['pack']} at commit `{(found['commit'] or 'unknown')[:13]}`" for found in stored.values()
    ]
    return "\n".join((
        *markdown.table(["how residuals become integers", "BD-rate"], cells, "lr"),
        "",
        *markdown.wrapped(
            "BD-rate (PSNR) against closed-form rounding, mean of the same pictures at the same qualities as "
            f"above, from real files: {where[0]}, and {where[1]}, whose synthesis was trained on meanwhile, "
            "which is 0.3 % of it."
        ),
    ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
