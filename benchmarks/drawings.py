"""Pictures that are no photographs, and pictures without loss: beside AVIF, WebP and PNG.

    python benchmarks/drawings.py near PICTURES...        PSNR at the size of AVIF's quality 60, 4:4:4
    python benchmarks/drawings.py captions PICTURES...    the same of the pictures with text over them
    python benchmarks/drawings.py words PICTURES...       the same of gradients of their size, full of words
    python benchmarks/drawings.py lossless PICTURES...    bytes without loss
        [--every 1] [--pack photo-psnr] [--out docs/results/drawings/NAME.json]
    python benchmarks/drawings.py table docs/results/drawings docs/results/drawings/README.md

PICTURES are files or folders; the name of a picture's folder is that of its set. ``table`` writes what the
JSON files of a folder hold between the marks ``<!-- benchmark:NAME -->`` and ``<!-- end -->``, NAME being the
file's name.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import calotype
from calotype.bench import tables
from calotype.bench.codecs.avif import Avif
from calotype.bench.names import find_images
from calotype.codec.metrics import psnr
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.records import markdown
from calotype.records.provenance import now, provenance
from calotype.records.script import guarded, parser_of

QUALITY = 60
WORDS = ["meeting", "at", "half", "past", "nine", "with", "the", "whole", "team", "to", "show", "status"]
Row = dict[str, Any]


@guarded
def main(arguments: list[str] | None = None) -> None:
    options = parser_of(__file__, __doc__)
    commands = options.add_subparsers(dest="command", required=True)
    for name in KINDS:
        measuring = commands.add_parser(name)
        measuring.add_argument("pictures", nargs="+", type=Path)
        measuring.add_argument("--every", type=int, default=1, help="take one picture of so many")
        measuring.add_argument("--pack", default="photo-psnr")
        measuring.add_argument("--out", type=Path, default=Path("docs/results/drawings") / f"{name}.json")
    writing = commands.add_parser("table")
    writing.add_argument("folder", type=Path)
    writing.add_argument("document", type=Path)
    given = options.parse_args(arguments)
    if given.command == "table":
        tables.write_folder(given.folder, given.document, table, KINDS)
        return
    given.out.parent.mkdir(parents=True, exist_ok=True)
    stored: Row = {"kind": given.command, "rows": []}
    stored |= provenance(["python", "benchmarks/drawings.py", *(arguments or sys.argv[1:])])
    for path in find_images(given.pictures)[:: given.every]:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        found = KINDS[given.command][0](pixels, given.pack)
        stored["rows"].append({"set": path.parent.name, "picture": path.stem} | found)
        stored["finished"] = now()
        given.out.write_text(json.dumps(stored) + "\n", encoding="utf-8")
        print(path.stem, found, flush=True)
    print(table(stored))


def near(pixels: np.ndarray, pack: str) -> Row:
    """Ours at the size of AVIF's file; which tiles are pixels; CPU seconds of an encoding at that quality."""
    codec = Avif("4:4:4")
    theirs = codec.encode(pixels, QUALITY)
    data = calotype.encode(pixels, target_size=len(theirs), pack=pack)
    ours = np.asarray(calotype.decode(data))
    kinds = [chunk["name"] for chunk in calotype.probe(data)["chunks"]]
    begun = time.process_time()
    calotype.encode(pixels, QUALITY, pack=pack)
    spent = time.process_time() - begun
    other = codec.decode(theirs)
    return {
        "megapixels": pixels.size / 3e6,
        "bytes": [len(data), len(theirs)],
        "psnr": [round(psnr(pixels, shown), 3) for shown in (ours, other)],
        "ssimulacra2": [round(ssimulacra2(pixels, shown), 2) for shown in (ours, other)],
        "tiles": [kinds.count("pixels"), kinds.count("tile")],
        "layer": sum(chunk["length"] for chunk in calotype.probe(data)["chunks"] if chunk["name"] == "layer"),
        "cpu_seconds": round(spent, 3),
    }


def captions(pixels: np.ndarray, pack: str) -> Row:
    """As `near`, of a picture with a large line of text, outlined, and two small ones over it."""
    image = Image.fromarray(pixels)
    draw, side = ImageDraw.Draw(image), min(image.size)
    large, small = (ImageFont.load_default(side // share) for share in (10, 28))
    place = (side // 20, side // 20)
    draw.text(place, "Large letters", "white", large, stroke_width=side // 160, stroke_fill="black")
    low = image.height - side // 6
    draw.text((side // 20, low), "A caption in small letters,", (255, 220, 60), small)
    draw.text((side // 20, low + side // 20), "27 November 2026, 12:03", (255, 220, 60), small)
    return near(np.asarray(image), pack)


def words(pixels: np.ndarray, pack: str) -> Row:
    """As `near`, of a gradient of a picture's size, full of words of 10 to 16 pixels, of all colours."""
    height, width = pixels.shape[:2]
    random, part = (
        np.random.default_rng(0),
        np.add.outer(np.arange(height) / height, np.arange(width) / width) / 2,
    )
    ground = np.array([30, 60, 120]) + np.multiply.outer(part, [190, 140, 120])
    image = Image.fromarray(ground.round().astype(np.uint8))
    draw, top = ImageDraw.Draw(image), 4
    while top < height - 20:
        size, left = int(random.integers(10, 17)), 6.0
        font = ImageFont.load_default(size)
        while left < width - 60:
            word = str(random.choice(WORDS))
            draw.text((int(left), top), word, tuple(map(int, random.integers(0, 256, 3))), font)
            left += draw.textlength(word + " ", font)
        top += size * 7 // 5
    return near(np.asarray(image), pack)


def lossless(pixels: np.ndarray, _: str) -> Row:
    """Ours, WebP's (method 6, quality 100) and PNG's (Pillow, optimised) in bytes."""
    data = calotype.encode(pixels, lossless=True)
    if not np.array_equal(np.asarray(calotype.decode(data).convert("RGB")), pixels):
        raise ValueError("the decoded picture is not the same")
    image, sizes = Image.fromarray(pixels), [len(data)]
    for form, options in (
        ("WEBP", {"lossless": True, "method": 6, "quality": 100}),
        ("PNG", {"optimize": True}),
    ):
        out = io.BytesIO()
        image.save(out, form, **options)
        sizes.append(len(out.getvalue()))
    return {"pixels": pixels.size // 3, "bytes": sizes}


def near_table(rows: list[Row]) -> list[str]:
    heads = ["picture", "bytes", "of which layer", "PSNR", "AVIF's", "difference", "SSIMULACRA2", "AVIF's"]
    heads += ["tiles of pixels", "CPU s per MP"]
    return markdown.table(
        heads,
        [
            [
                row["picture"],
                f"{row['bytes'][0]:,}",
                f"{row['layer']:,}",
                f"{row['psnr'][0]:.2f}",
                f"{row['psnr'][1]:.2f}",
                f"{row['psnr'][0] - row['psnr'][1]:+.2f} dB",
                *(f"{score:.1f}" for score in row["ssimulacra2"]),
                f"{row['tiles'][0]} of {sum(row['tiles'])}",
                f"{row['cpu_seconds'] / row['megapixels']:.2f}",
            ]
            for row in rows
        ],
    )


def lossless_table(rows: list[Row]) -> list[str]:
    cells = []
    for name in dict.fromkeys(row["set"] for row in rows):
        of = [row for row in rows if row["set"] == name]
        ours, webp, png = (sum(row["bytes"][k] for row in of) for k in range(3))
        worst = max(row["bytes"][0] / row["bytes"][1] for row in of)
        pixels = sum(row["pixels"] for row in of)
        figures = [
            f"{8 * ours / pixels:.2f}",
            *(f"{ours / n - 1:+.1%}" for n in (webp, png)),
            f"{worst - 1:+.1%}",
        ]
        cells.append([f"{name}, {len(of)}", *figures])
    heads = ["set, pictures", "bits per pixel", "against WebP", "against PNG", "worst picture, against WebP"]
    return markdown.table(heads, cells)


def table(stored: Row) -> str:
    """The Markdown of a JSON file."""
    lines = KINDS[stored["kind"]][1](stored["rows"])
    commit = (stored["commit"] or "unknown")[:13]
    lines += ["", f"Measured {stored['finished'][:10]} at commit `{commit}`: `{stored['command']}`."]
    return "\n".join(lines)


KINDS: dict[str, Any] = {
    "near": (near, near_table),
    "captions": (captions, near_table),
    "words": (words, near_table),
    "lossless": (lossless, lossless_table),
}

if __name__ == "__main__":
    sys.exit(main())
