"""What a pack from before spent on parts of its files, and what today's spends at the same PSNR.

    python benchmarks/spent.py measure --before BEFORE.json PICTURES... [--pack PACK] [--out FILE.json]
    python benchmarks/spent.py table docs/results/places/spent.json docs/results/places/README.md

BEFORE holds rows of ``set``, ``picture``, ``quality``, ``psnr``, and bits per pixel: of the file (``bpp``),
of z (``z``), and of channels 0 to 2 at every second site each way (``means``). Every picture is encoded once
more for each row, with its PSNR as the target; rows that no level reaches are left out. Shares of a file say
little where the whole file gets smaller: this counts the bits themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from PIL import Image

import calotype
from calotype.bench import tables
from calotype.bench.names import find_images
from calotype.codec import library
from calotype.records import markdown
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, parser_of
from places import parts

Row = dict[str, Any]
SITES = ("channels 0 to 2, every eighth site", "channels 0 to 2, the others of every second site")
PARTS = {"z": ("z",), "means": SITES}
"""The parts of `places.parts` that each column of BEFORE stands for."""


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    measuring = tables.add_commands(options, "places/spent")
    measuring.add_argument("--before", type=Path, required=True)
    measuring.set_defaults(pack="photo-psnr")
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write(given, table, "spent")
    else:
        measure(given, sys.argv[1:] if arguments is None else arguments)


def measure(given: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Measure and store."""
    before = json.loads(given.before.read_text(encoding="utf-8"))
    stored: Row = {"before": before["pack"], "pack": library.load(given.pack).manifest.id[:8]}
    stored |= provenance(["python", "benchmarks/spent.py", *arguments]) | {"rows": []}
    pixels = {path.stem: path for path in find_images(given.pictures)}
    for row in before["rows"]:
        if row["picture"] not in pixels:
            continue
        with Image.open(pixels[row["picture"]]) as image:
            picture = image.convert("RGB")
        try:
            data = calotype.encode(picture, target_psnr=row["psnr"], pack=given.pack)
        except calotype.LimitError as error:  # today's lowest quality may be better than that
            print(row["picture"], row["quality"], error, flush=True)
            continue
        found, size = parts(data, given.pack), picture.width * picture.height
        now_spent = {name: sum(found[part] for part in of) / size for name, of in PARTS.items()}
        now_spent["bpp"] = 8 * len(data) / size
        spent = {name: [round(row[name], 6), round(bits, 6)] for name, bits in now_spent.items()}
        stored["rows"].append({name: row[name] for name in ("set", "picture", "quality", "psnr")} | spent)
        print(row["picture"], row["quality"], spent, flush=True)
    stored["finished"] = now()
    given.out.write_text(json.dumps(stored) + "\n", encoding="utf-8")


def table(stored: Row) -> str:
    """Means over the pictures of a set, one line for each quality of the pack from before."""
    grouped: dict[tuple[str, float], list[Row]] = {}
    for row in stored["rows"]:
        grouped.setdefault((row["set"], row["quality"]), []).append(row)
    cells = []
    for (name, _), rows in sorted(grouped.items()):
        cell = [name, f"{len(rows)}", f"{fmean(row['psnr'] for row in rows):.1f} dB"]
        for part in ("bpp", *PARTS):
            a, b = (fmean(row[part][side] for row in rows) for side in (0, 1))
            cell.append(f"{a:.4f} to {b:.4f} ({100 * (b / a - 1):+.0f} %)")
        cells.append(cell)
    heads = ["set", "pictures", "PSNR", "bits per pixel", "of which z", "channels 0 to 2, every second site"]
    lines = markdown.table(heads, cells, "lrrrrr")
    commit = (stored["commit"] or "unknown")[:13]
    told = f"From pack {stored['before']} to pack {stored['pack']} at the same PSNR, measured"
    return "\n".join([*lines, "", f"{told} {stored['finished'][:10]} at commit `{commit}`."])


if __name__ == "__main__":
    sys.exit(main())
